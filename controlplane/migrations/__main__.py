"""`python -m controlplane.migrations new MESSAGE`: write the next migration from what `tables` says."""

from __future__ import annotations

import sys

import sqlalchemy
from alembic import command

from controlplane.migrations.migrate import alembic_config, head


def main(arguments: list[str]) -> None:
    if len(arguments) != 2 or arguments[0] != "new":
        sys.exit("usage: python -m controlplane.migrations new MESSAGE")
    number = f"{int(head_or_zero()) + 1:04d}"
    with sqlalchemy.create_engine("sqlite://").begin() as connection:
        config = alembic_config(connection)
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        if number != "0001":
            command.upgrade(config, "head")
        command.revision(config, arguments[1], autogenerate=True, rev_id=number)


def head_or_zero() -> str:
    try:
        return head()
    except ValueError:
        return "0"


if __name__ == "__main__":
    main(sys.argv[1:])
