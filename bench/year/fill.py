"""A fleet and its year: rows of hours and minutes as rolling up leaves them, an hour of all cameras after the other.

Values follow from series and hour, so that every fill is the same. On PostgreSQL each part is made, filled, given its
indexes and attached in one transaction: with wal_level=minimal nothing of it is logged. What comes of it is what the
product has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, text

from bench.year.progress import Progress
from controlplane import tables
from controlplane.db import Database, Session
from controlplane.migrations.migrate import migrate
from controlplane.partitions.domain import HOURS, MINUTES, Part, Parted, days
from controlplane.partitions.repository import PartitionRepository, part_name
from controlplane.rollups import tables as rolled
from controlplane.rollups.domain import DAY_MS, Level
from controlplane.settings.domain import Spec

DEPLOYMENTS = ("watch", "count")  # one a box
SITES = 20
AT_ONCE = 24  # steps of one transaction, on SQLite
_FRAMES = "50000 + (id * 37 + step * 11) % 4000"
_COUNTS = {
    "ok_local": _FRAMES,
    "shed": "(id * 13 + step * 7) % 300 + 1",
    "expired": "(id * 5 + step * 3) % 90 + 1",
    "box_us": f"({_FRAMES}) * 40000",
    "stage_infer_us": f"({_FRAMES}) * 30000",
    "stage_wait_us": f"({_FRAMES}) * 6000",
    "stage_decode_us": f"({_FRAMES}) * 4000",
    **{f"box_{15 + number:02}": f"({_FRAMES}) / 6" for number in range(6)},
    "ok_cloud": "CASE WHEN id % 4 = 0 THEN 900 + step % 50 END",
    "cloud_20": "CASE WHEN id % 4 = 0 THEN 900 + step % 50 END",
    "cloud_us": "CASE WHEN id % 4 = 0 THEN (900 + step % 50) * 90000 END",
    "uplink_bytes": "CASE WHEN id % 4 = 0 THEN 900 * 30000 END",
}
_STAT = {
    "samples": "360",
    "cpu": "CAST(360 AS BIGINT) * (500000 + (id * 31 + step * 17) % 900000)",
    "cpu_max": "1500000 + step % 100000",
    "memory": "CAST(360 AS BIGINT) * 250000000",
    "memory_max": "260000000",
    "disk_free_min": "200000000000 - step % 1000000",
    "outbox_waiting": "step % 3",
    "outbox_dropped": "0",
}


@dataclass(frozen=True)
class Size:
    boxes: int
    cameras: int  # of each box
    hours: int
    minutes: int

    @property
    def rows(self) -> int:
        """Hours of cameras."""
        return self.boxes * self.cameras * self.hours

    def box(self, number: int) -> str:
        return f"box-{number:04}"

    def camera(self, box: int, number: int) -> str:
        return f"cam-{box:04}-{number}"


def fill(database: Database, size: Size, now_ms: int, progress: Progress) -> None:
    """Into an empty database; hours and minutes end at `now_ms`."""
    migrate(database)
    with database.engine.begin() as connection:
        _fleet(connection, size, now_ms)
    for level, parted, count in ((Level.HOUR, HOURS, size.hours), (Level.MINUTE, MINUTES, size.minutes)):
        until = level.start(now_ms)
        starts = range(until - count * level.ms, until, level.ms)
        for table, statement in zip(parted, (_outcomes, _stats), strict=True):
            fill_table = _in_parts if database.shared else _in_steps
            fill_table(database, table, starts, statement, progress)
    progress.say("looking through all tables, as the database does by itself in time")
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE"))
        if database.shared:
            connection.execute(text("VACUUM"))


def _fleet(connection: Connection, size: Size, now_ms: int) -> None:
    whole = {"labels": {}, "annotations": {}, "generation": 1, "resource_version": 1, "created_ms": now_ms}
    boxes = [
        {**whole, "id": size.box(box), "uid": size.box(box), "labels": {"site": f"site-{box % SITES}"}, "online": False}
        for box in range(size.boxes)
    ]
    connection.execute(insert(tables.Node), boxes)
    bound = {"source": "synthetic://harbour", "rate": 15.0}
    cameras = [
        {**whole, **bound, "name": size.camera(box, number), "uid": size.camera(box, number), "node_id": size.box(box)}
        for box in range(size.boxes)
        for number in range(size.cameras)
    ]
    connection.execute(insert(tables.Camera), cameras)
    series = [
        {"node_id": size.box(box), "camera": camera, "deployment": DEPLOYMENTS[box % len(DEPLOYMENTS)]}
        for box in range(size.boxes)
        for camera in ("", *(size.camera(box, number) for number in range(size.cameras)))
    ]
    connection.execute(insert(rolled.SERIES), series)


def _outcomes(table: str) -> str:
    columns, values = ", ".join(_COUNTS), ", ".join(_COUNTS.values())
    return f"INSERT INTO {table} (series, start_ms, {columns}) SELECT id, :start, {values} FROM {_steps('series')}"


def _stats(table: str) -> str:
    columns, values = ", ".join(_STAT), ", ".join(_STAT.values())
    boxes = f"(SELECT node_id, min(id) AS id FROM series GROUP BY node_id) boxes, {_step()}"
    head = f"INSERT INTO {table} (node_id, start_ms, last_ms, {columns})"
    return f"{head} SELECT node_id, :start, :start + 1, {values} FROM {boxes}"


def _steps(table: str) -> str:
    return f"{table}, {_step()}"


def _step() -> str:
    return "(SELECT CAST(:step AS BIGINT) AS step) stepped"


def _in_parts(
    database: Database, table: Parted, starts: range, statement: Callable[[str], str], progress: Progress
) -> None:
    length = days(_kept_ms(table)) * DAY_MS
    for first in range(starts.start // length * length, starts.stop, length):
        part = Part(first, first + length)
        inside = range(max(first, starts.start), min(part.last, starts.stop), starts.step)
        with database.begin() as session:
            session.execute(text(f"CREATE TABLE {part_name(table, part)} (LIKE {table.name} INCLUDING DEFAULTS)"))
            for start in inside:
                _insert(session, statement(part_name(table, part)), start)
                progress.step(table.name, (start - starts.start) // starts.step + 1, len(starts))
            PartitionRepository(session).attach(table, part)


def _in_steps(
    database: Database, table: Parted, starts: range, statement: Callable[[str], str], progress: Progress
) -> None:
    for first in range(0, len(starts), AT_ONCE):
        with database.begin() as session:
            for start in starts[first : first + AT_ONCE]:
                _insert(session, statement(table.name), start)
        progress.step(table.name, min(first + AT_ONCE, len(starts)), len(starts))


def _insert(session: Session, statement: str, start_ms: int) -> None:
    session.execute(text(statement), {"start": start_ms, "step": start_ms // 60_000})


def _kept_ms(table: Parted) -> int:
    return Spec().hours_retention_ms if table in HOURS else Spec().minutes_retention_ms
