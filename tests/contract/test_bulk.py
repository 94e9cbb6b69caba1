"""Rows below SQLAlchemy's statements, on both databases: inserted once, and what goes wrong is told as ever."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy

from controlplane import bulk, tables
from controlplane.db import Database
from controlplane.ingest.domain import COLUMNS, NAMED, Kind
from protos.errors import Rejected, Retryable

TABLE = tables.Gap.__table__
COLUMNS_OF_A_GAP = (*NAMED, *COLUMNS[Kind.GAP])


def gap(seq: int, reason: str = "full", epoch: str = "e1") -> tuple[Any, ...]:
    return ("quay-1", epoch, seq, 5, 7, 5, "debug", 1, 2, 2, reason, "", False)


def insert(database: Database, *rows: tuple[Any, ...]) -> int:
    assert isinstance(TABLE, sqlalchemy.Table)
    with database.begin() as session:
        return bulk.insert_new(session, TABLE, COLUMNS_OF_A_GAP, rows)


def reasons(database: Database) -> dict[int, str]:
    with database.read() as session:
        rows = session.execute(sqlalchemy.select(tables.Gap.seq, tables.Gap.reason))
        return {row.seq: row.reason for row in rows}


def test_rows_are_inserted_where_there_are_none_and_counted(database: Database) -> None:
    assert insert(database, gap(1), gap(2)) == 2
    assert insert(database, gap(2, "other"), gap(3)) == 1
    assert insert(database) == 0
    assert reasons(database) == {1: "full", 2: "full", 3: "full"}


def test_what_one_transaction_staged_is_not_there_in_the_next(database: Database) -> None:
    def fails() -> None:
        with database.begin() as session:
            assert isinstance(TABLE, sqlalchemy.Table)
            bulk.insert_new(session, TABLE, COLUMNS_OF_A_GAP, [gap(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert insert(database, gap(2)) == 1
    assert reasons(database) == {2: "full"}


@pytest.mark.parametrize("text", ["tab\tand\nlines\r\\.", "\\N", "größe 漢字 🚢", "", "'; DROP TABLE gaps; --"])
def test_any_text_comes_back_as_it_was(database: Database, text: str) -> None:
    insert(database, gap(1, text))
    assert reasons(database) == {1: text}


@pytest.mark.postgres
def test_a_value_that_the_database_cannot_hold_is_refused(postgres_url: str) -> None:
    from controlplane.migrations.migrate import migrate

    database = Database(postgres_url)
    migrate(database)
    with pytest.raises(Rejected):
        insert(database, gap(1, epoch="e" * 65))
    assert insert(database, gap(1)) == 1
    database.close()


@pytest.mark.postgres
def test_a_connection_that_breaks_on_the_way_is_tried_again_later(postgres_url: str) -> None:
    from controlplane.migrations.migrate import migrate

    database = Database(postgres_url)
    migrate(database)

    def breaks() -> None:
        with database.begin() as session:
            pid = session.scalar(sqlalchemy.text("SELECT pg_backend_pid()"))
            with database.begin() as other:
                other.execute(sqlalchemy.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            assert isinstance(TABLE, sqlalchemy.Table)
            bulk.insert_new(session, TABLE, COLUMNS_OF_A_GAP, [gap(1)])

    with pytest.raises(Retryable):
        breaks()
    assert insert(database, gap(1)) == 1
    database.close()
