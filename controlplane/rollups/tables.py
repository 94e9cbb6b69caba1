"""The tables of roll-ups. Shape only, as controlplane.tables: what the columns mean is in `domain`.

A number that is zero is NULL, which takes no room: of ninety columns an hour of a camera fills some twenty. What is
stored and not rolled up yet waits in `unrolled`, written in the transaction that stores the records.
"""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, UniqueConstraint

from controlplane.rollups.domain import SUMS, Level, Stat
from controlplane.tables import Base

_NAME = String(63)
_ID = BigInteger().with_variant(Integer, "sqlite")

SERIES = Table(
    "series",  # never deleted: they are as few as cameras and deployments ever were
    Base.metadata,
    Column("id", _ID, primary_key=True),
    Column("node_id", _NAME, nullable=False),
    Column("camera", _NAME, nullable=False),  # "": all of the box
    Column("deployment", _NAME, nullable=False),
    UniqueConstraint("node_id", "camera", "deployment"),
    Index(None, "camera"),
    Index(None, "deployment"),
)
UNROLLED = Table(
    "unrolled",
    Base.metadata,
    Column("id", _ID, primary_key=True),
    Column("node_id", _NAME, nullable=False),
    Column("camera", _NAME),  # None: figures of the box itself
    Column("deployment", _NAME),
    Column("start_ms", BigInteger, nullable=False),  # of the minute
    Column("sums", JSON, nullable=False),
)


def _steps(name: str, whose: Column[int] | Column[str], columns: tuple[str, ...], *, nullable: bool) -> Table:
    return Table(
        name,
        Base.metadata,
        whose,
        Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
        *(Column(each, BigInteger, nullable=nullable) for each in columns),
        Index(None, "start_ms", postgresql_using="brin"),  # rows come in order of time, nearly
        postgresql_partition_by="RANGE (start_ms)",
        sqlite_with_rowid=False,
    )


def _outcomes(name: str) -> Table:
    return _steps(name, Column("series", BigInteger, primary_key=True, autoincrement=False), SUMS, nullable=True)


def _stats(name: str) -> Table:
    told = tuple(each.name for each in fields(Stat))
    return _steps(name, Column("node_id", _NAME, primary_key=True), told, nullable=False)


OUTCOMES = {Level.MINUTE: _outcomes("outcome_minutes"), Level.HOUR: _outcomes("outcome_hours")}
STATS = {Level.MINUTE: _stats("node_minutes"), Level.HOUR: _stats("node_hours")}
