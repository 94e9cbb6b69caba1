"""All SQL of partitions, on PostgreSQL.

A part is made as a table of its own and then attached, which holds up nobody who reads, and writers only for as long as
the default part is looked through. What must wait for others longer than PATIENCE gives up: the next sweep tries again.
"""

from __future__ import annotations

import re

from sqlalchemy import text
from sqlalchemy.orm import Session

from controlplane.partitions.domain import Part, Parted
from controlplane.settings.repository import SettingsRepository

PATIENCE = "2s"
MOST_MOVED = 20_000  # rows that stand in the default part and belong into one that is made; with more it is left out
_BOUNDS = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")
_LOCK = 4_702_114  # advisory: one makes and drops parts at a time


class PartitionRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def supported(self) -> bool:
        return self._session.get_bind().dialect.name == "postgresql"

    def alone(self) -> bool:
        """See controlplane.rollups.repository.RollupRepository.alone."""
        self._run(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        return bool(self._session.scalar(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")))

    def parts(self, table: Parted) -> list[Part]:
        """All but the default part."""
        query = text(
            "SELECT pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits"
            " JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = to_regclass(:name)"
        )
        bounds = (_BOUNDS.search(told) for told in self._session.scalars(query, {"name": table.name}))
        return sorted(Part(int(found[1]), int(found[2])) for found in bounds if found)

    def make(self, table: Parted, part: Part) -> bool:
        """False: too many rows of its time stand in the default part, where they stay until they are old."""
        inside = f"{table.column} >= {part.first} AND {table.column} < {part.last}"
        some = f"SELECT 1 FROM {_default(table)} WHERE {inside} LIMIT {MOST_MOVED + 1}"  # noqa: S608 - all names are ours
        if len(self._session.scalars(text(some)).all()) > MOST_MOVED:
            return False
        name = part_name(table, part)
        self._run(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)")
        self._run(f"LOCK TABLE {_default(table)} IN SHARE ROW EXCLUSIVE MODE")  # nothing comes behind what is moved
        moved = f"WITH moved AS (DELETE FROM {_default(table)} WHERE {inside} RETURNING *)"  # noqa: S608
        self._run(f"{moved} INSERT INTO {name} SELECT * FROM moved")  # noqa: S608
        self.attach(table, part)
        return True

    def attach(self, table: Parted, part: Part) -> None:
        """What is a table of its own becomes a part; keys and indexes that it lacks are made."""
        bounds = f"FOR VALUES FROM ({part.first}) TO ({part.last})"
        self._run(f"ALTER TABLE {table.name} ATTACH PARTITION {part_name(table, part)} {bounds}")

    def drop(self, table: Parted, part: Part, since_ms: int) -> bool:
        """False: something in it was stored since then, by a box that was dark, or has a wrong clock; whoever stores
        records forgets them row by row.
        """
        if self._stored(table, part, since_ms):
            return False
        self._run(f"LOCK TABLE ONLY {table.name} IN ACCESS EXCLUSIVE MODE")  # nothing comes from here on
        if self._stored(table, part, since_ms):
            return False
        if self._stored(table, part, 0):
            SettingsRepository(self._session).note_swept(table.name, since_ms)
        self._run(f"DROP TABLE {part_name(table, part)}")
        return True

    def _stored(self, table: Parted, part: Part, since_ms: int) -> bool:
        if not table.told:
            return False
        found = f"SELECT EXISTS (SELECT FROM {part_name(table, part)} WHERE stored_ms >= {since_ms})"  # noqa: S608 - as above
        return bool(self._session.scalar(text(found)))

    def _run(self, statement: str) -> None:
        self._session.execute(text(statement))


def part_name(table: Parted, part: Part) -> str:
    """By the day on which it begins."""
    return f"{table.name}_p{part.first // table.day}"


def _default(table: Parted) -> str:
    return f"{table.name}_default"


def default_part(table: Parted) -> str:
    """The statement that makes it: nothing may fit nowhere."""
    return f"CREATE TABLE {_default(table)} PARTITION OF {table.name} DEFAULT"
