"""Many rows at once, as fast as the driver takes them: below SQLAlchemy's statements, inside its transaction.

SQLite gets one statement with many values. PostgreSQL gets them by COPY into a table of this connection's own, which is
emptied at each commit, and from there all that have no row yet: COPY itself can't step over a row that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, Connection, Table
from sqlalchemy.exc import DBAPIError

from controlplane.db import Session

_encode = msgspec.json.Encoder().encode


def insert_new(session: Session, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert those of `rows` that break no key of `table`; how many. Documents may be JSON already.

    Raises what Database.begin translates.
    """
    if not rows:
        return 0
    connection = session.connection()
    json = [place for place, name in enumerate(columns) if isinstance(table.c[name].type, JSON)]
    done = all(isinstance(row[place], str) for row in rows for place in json)
    plain = list(rows) if done else [_plain(row, json) for row in rows]
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(_insert(table, columns), plain).rowcount
    return _staged(connection, table, columns, plain)


def _plain(row: tuple[Any, ...], json: Sequence[int]) -> tuple[Any, ...]:
    """With documents as text."""
    cells = list(row)
    for place in json:
        if not isinstance(cells[place], str):
            cells[place] = _encode(cells[place]).decode()
    return tuple(cells)


def _insert(table: Table, columns: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours


def _staged(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> int:
    stage, names = f"staged_{table.name}", ", ".join(f'"{name}"' for name in columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE {table.name} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
    )
    _copy(connection, f"COPY {stage} ({names}) FROM STDIN", rows)
    return connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {stage} ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
    ).rowcount


def _copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """The driver's own errors become SQLAlchemy's, as if it had run the statement."""
    dialect, driver = connection.dialect, connection.connection.driver_connection
    assert driver is not None
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:
        gone = dialect.is_disconnect(error, driver, None)
        raise DBAPIError.instance(
            statement, None, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect
        ) from error
