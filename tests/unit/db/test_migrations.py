"""The database's history: a fresh database and one that went through every migration are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from controlplane.db import Database
from controlplane.migrations.migrate import head, migrate, upgrade
from controlplane.tables import Base
from protos.errors import Fatal


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Database]]:
    """Two empty ones of the same kind."""
    if request.param == "sqlite":
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in "ab"]
    else:
        create = request.getfixturevalue("new_postgres_database")
        urls = [create(), create()]
    made = [Database(url) for url in urls]
    yield made
    for database in made:
        database.close()


def parts(connection: Connection) -> set[str]:
    """Tables that are a part of another; they have its shape, or PostgreSQL would refuse them."""
    if connection.dialect.name != "postgresql":
        return set()
    query = "SELECT relname FROM pg_class WHERE relispartition"
    return set(connection.scalars(sqlalchemy.text(query)))


def drift(connection: Connection) -> list[Any]:
    left_out = parts(connection)
    only = {"include_name": lambda name, kind, _parents: kind != "table" or name not in left_out}
    context = MigrationContext.configure(connection, opts={"compare_type": True, **only})
    return list(compare_metadata(context, Base.metadata))


def shape(connection: Connection) -> dict[str, Any]:
    look = inspect(connection)
    return {
        table: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in look.get_columns(table)),
            look.get_pk_constraint(table)["constrained_columns"],
            sorted((str(index["name"]), str(index["column_names"])) for index in look.get_indexes(table)),
            sorted((str(unique["name"]), str(unique["column_names"])) for unique in look.get_unique_constraints(table)),
            sorted((str(key["name"]), key["referred_table"]) for key in look.get_foreign_keys(table)),
        )
        for table in sorted({*look.get_table_names()} - parts(connection))
        if table != "alembic_version"
    }


def test_the_migrations_say_what_tables_says(databases: list[Database]) -> None:
    with databases[0].engine.begin() as connection:
        upgrade(connection)
        assert drift(connection) == []


def test_a_fresh_database_equals_a_migrated_one(databases: list[Database]) -> None:
    fresh, migrated = databases
    migrate(fresh)
    with fresh.engine.begin() as one, migrated.engine.begin() as two:
        upgrade(two)
        assert shape(one) == shape(two)
        assert {
            connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version")) for connection in (one, two)
        } == {head()}


def test_migrating_again_changes_nothing(databases: list[Database]) -> None:
    migrate(databases[0])
    with databases[0].engine.begin() as connection:
        before = shape(connection)
    migrate(databases[0])
    with databases[0].engine.begin() as connection:
        assert shape(connection) == before


def test_a_database_of_a_newer_longshore_is_left_alone(databases: list[Database]) -> None:
    migrate(databases[0])
    with databases[0].engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Fatal, match="of a newer Longshore"):
        migrate(databases[0])


def test_every_migration_can_be_undone(databases: list[Database]) -> None:
    from alembic import command

    from controlplane.migrations.migrate import alembic_config

    with databases[0].engine.begin() as connection:
        upgrade(connection)
        command.downgrade(alembic_config(connection), "base")
        assert shape(connection) == {}
