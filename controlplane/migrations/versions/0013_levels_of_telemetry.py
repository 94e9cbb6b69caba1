"""levels of telemetry: minutes and hours, and parts by time on PostgreSQL"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_DAY_MS = 86_400_000
_RECORDS = {  # table -> when it was, in milliseconds by the word of its box where that is stored
    "detections": "captured_unix_ns / 1000000",
    "outcome_counts": "end_ms",
    "camera_health": "at_ms",
    "node_stats": "at_ms",
}
_KEY = ["node_id", "epoch", "seq"]
_FRAMES = (
    *("ok_local", "ok_cloud", "ok_hedge", "stale_track", "superseded"),
    *("shed", "expired", "cloud_late", "error"),
)
_BOX, _CLOUD = (tuple(f"{where}_{number:02}" for number in range(36)) for where in ("box", "cloud"))
_STAGES = ("decode", "wait", "infer", "encode", "cloud", "answer")
_SUMS = (*_FRAMES, *_BOX, "box_us", *_CLOUD, "cloud_us", "uplink_bytes", *(f"stage_{each}_us" for each in _STAGES))
_STAT = (
    *("samples", "cpu", "cpu_max", "memory", "memory_max"),
    *("disk_free_min", "last_ms", "outbox_waiting", "outbox_dropped"),
)
_CAP = 1 << 50
_NOTES = 5_000  # at a time


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, told_ms in _RECORDS.items():
            _part(table, told_ms)
        op.add_column("gaps", _day())
        _rekey("gaps", "pk_gaps")
    else:
        for table, told_ms in {**_RECORDS, "gaps": "0"}.items():
            _rebuild(table, told_ms)
    op.create_index(op.f("ix_camera_health_at_ms"), "camera_health", ["at_ms"])
    _tables()
    _note()


def _day() -> sa.Column[int]:
    return sa.Column("told_day", sa.BigInteger(), server_default="0", nullable=False, autoincrement=False)


def _rekey(table: str, name: str) -> None:
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    op.create_primary_key(name, table, [*_KEY, "told_day"])


def _part(table: str, told_ms: str) -> None:
    """What is stored becomes the default part, where it lies; no row is copied but to have its day."""
    day = f"LEAST(GREATEST(({told_ms}) / {_DAY_MS}, 0), 40000)"
    default = f"{table}_default"
    op.add_column(table, _day())
    op.execute(f"ALTER TABLE {table} ALTER COLUMN told_day TYPE bigint USING {day}")
    indexes = list(sa.inspect(op.get_bind()).get_indexes(table))
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}")
    op.execute(f"ALTER TABLE {table} RENAME TO {default}")
    op.create_primary_key(f"{default}_pkey", default, [*_KEY, "told_day"])
    op.execute(f"CREATE TABLE {table} (LIKE {default} INCLUDING DEFAULTS) PARTITION BY RANGE (told_day)")
    op.create_primary_key(f"pk_{table}", table, [*_KEY, "told_day"])
    for number, index in enumerate(indexes):
        op.execute(f"ALTER INDEX {index['name']} RENAME TO {default}_{number}_idx")
        op.create_index(op.f(str(index["name"])), table, [str(column) for column in index["column_names"]])
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {default} DEFAULT")


def _rebuild(table: str, told_ms: str, *, back: bool = False) -> None:
    """SQLite changes no key in place: a table beside it, filled from it, in its place. `back`: without the day."""
    connection = op.get_bind()
    old = sa.Table(table, sa.MetaData(), autoload_with=connection)
    indexes = [(str(index.name), [column.name for column in index.columns]) for index in old.indexes]
    kept = [column for column in old.columns if column.name != "told_day"]
    key = _KEY if back else [*_KEY, "told_day"]
    columns = [
        sa.Column(each.name, each.type, server_default=each.server_default, nullable=each.nullable, autoincrement=False)
        for each in kept
    ]
    if not back:
        columns.insert(3, _day())
    op.create_table(f"{table}_new", *columns, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")))
    names = ", ".join(column.name for column in kept)
    day = "" if back else f", MIN(MAX(({told_ms}) / {_DAY_MS}, 0), 40000)"
    into = names if back else f"{names}, told_day"
    op.execute(f"INSERT OR IGNORE INTO {table}_new ({into}) SELECT {names}{day} FROM {table}")  # noqa: S608
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
    for name, of in indexes:
        op.create_index(op.f(name), table, of)


def _tables() -> None:
    name, number = sa.String(length=63), sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "series",
        sa.Column("id", number, nullable=False),
        *(sa.Column(each, name, nullable=False) for each in ("node_id", "camera", "deployment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("node_id", "camera", "deployment", name=op.f("uq_series_node_id_camera_deployment")),
    )
    op.create_index(op.f("ix_series_camera"), "series", ["camera"])
    op.create_index(op.f("ix_series_deployment"), "series", ["deployment"])
    op.create_table(
        "unrolled",
        sa.Column("id", number, nullable=False),
        sa.Column("node_id", name, nullable=False),
        sa.Column("camera", name),
        sa.Column("deployment", name),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("sums", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unrolled")),
    )
    for step in ("minutes", "hours"):
        series = sa.Column("series", sa.BigInteger(), autoincrement=False, nullable=False)
        _steps(f"outcome_{step}", series, [sa.Column(each, sa.BigInteger()) for each in _SUMS])
        node = sa.Column("node_id", name, nullable=False)
        _steps(f"node_{step}", node, [sa.Column(each, sa.BigInteger(), nullable=False) for each in _STAT])


def _steps(table: str, whose: sa.Column[Any], columns: list[sa.Column[int]]) -> None:
    op.create_table(
        table,
        whose,
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(whose.name, "start_ms", name=op.f(f"pk_{table}")),
        postgresql_partition_by="RANGE (start_ms)",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f(f"ix_{table}_start_ms"), table, ["start_ms"], postgresql_using="brin")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")


def _note() -> None:
    """What is stored waits to be rolled up, as what comes does."""
    unrolled = sa.table("unrolled", *map(sa.column, ("node_id", "camera", "deployment", "start_ms")), _json())
    some: list[dict[str, Any]] = []
    for note in (*_outcomes(), *_stats()):
        some.append(note)
        if len(some) == _NOTES:
            op.bulk_insert(unrolled, some)
            some = []
    if some:
        op.bulk_insert(unrolled, some)


def _json() -> sa.ColumnClause[Any]:
    return sa.column("sums", sa.JSON())


def _read(table: str, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """In the order of the key, some at a time: the connection is the one that writes, too."""
    columns, after = ", ".join((*_KEY, "told_day", "at_ms", *names)), ("", "", 0, 0)
    behind = "(node_id, epoch, seq, told_day) > (:node, :epoch, :seq, :day)"
    order = f"ORDER BY node_id, epoch, seq, told_day LIMIT {_NOTES}"
    query = sa.text(f"SELECT {columns} FROM {table} WHERE {behind} {order}")  # noqa: S608
    while rows := op.get_bind().execute(query, dict(zip(("node", "epoch", "seq", "day"), after, strict=True))).all():
        yield from (dict(zip(row._fields, row, strict=True)) for row in rows)
        after = tuple(rows[-1][:4])


def _outcomes() -> Iterator[dict[str, Any]]:
    told = ("camera", "deployment", "counts", "box", "cloud", "uplink_bytes", "stages")
    for row in _read("outcome_counts", told):
        box, cloud, stages = (_document(row[name]) for name in ("box", "cloud", "stages"))
        sums = dict(_document(row["counts"]))
        for names, latencies in ((_BOX, box), (_CLOUD, cloud)):
            sums |= dict(zip(names, latencies["frames"], strict=False))
        sums |= {"box_us": _micro(box["seconds"]), "cloud_us": _micro(cloud["seconds"])}
        sums |= {f"stage_{stage}_us": _micro(seconds) for stage, seconds in stages.items() if stage in _STAGES}
        sums["uplink_bytes"] = row["uplink_bytes"]
        kept = {name: min(number, _CAP) for name, number in sums.items() if number > 0 and name in _SUMS}
        yield {**_whose(row), "camera": row["camera"], "deployment": row["deployment"], "sums": kept}


def _stats() -> Iterator[dict[str, Any]]:
    told = ("cpu_cores_used", "memory_bytes", "disk_free_bytes", "outbox_waiting", "outbox_dropped")
    for row in _read("node_stats", told):
        cpu, memory = _micro(row["cpu_cores_used"]), _capped(row["memory_bytes"])
        rest = (_capped(row["disk_free_bytes"]), row["at_ms"], *(_capped(row[name]) for name in told[3:]))
        sums = dict(zip(_STAT, (1, cpu, cpu, memory, memory, *rest), strict=True))
        yield {**_whose(row), "camera": None, "deployment": None, "sums": sums}


def _whose(row: dict[str, Any]) -> dict[str, Any]:
    return {"node_id": row["node_id"], "start_ms": row["at_ms"] - row["at_ms"] % 60_000}


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _micro(number: float) -> int:
    return _capped(round(min(number, float(_CAP)) * 1e6))


def _capped(number: int) -> int:
    return min(max(0, number), _CAP)


def downgrade() -> None:
    for step in ("hours", "minutes"):
        op.drop_table(f"node_{step}")
        op.drop_table(f"outcome_{step}")
    op.drop_table("unrolled")
    op.drop_table("series")
    op.drop_index(op.f("ix_camera_health_at_ms"), "camera_health")
    if op.get_bind().dialect.name == "postgresql":
        for table in _RECORDS:
            _whole(table)
        op.execute("ALTER TABLE gaps DROP CONSTRAINT pk_gaps")
        op.drop_column("gaps", "told_day")
        op.create_primary_key("pk_gaps", "gaps", _KEY)
    else:
        for table in (*_RECORDS, "gaps"):
            _rebuild(table, "", back=True)


def _whole(table: str) -> None:
    indexes = sa.inspect(op.get_bind()).get_indexes(table)
    op.execute(f"CREATE TABLE {table}_whole (LIKE {table} INCLUDING DEFAULTS)")
    op.execute(
        f"INSERT INTO {table}_whole SELECT DISTINCT ON (node_id, epoch, seq) * FROM {table}"  # noqa: S608
        " ORDER BY node_id, epoch, seq, told_day"
    )
    op.drop_table(table)
    op.rename_table(f"{table}_whole", table)
    op.drop_column(table, "told_day")
    op.create_primary_key(f"pk_{table}", table, _KEY)
    for index in indexes:
        op.create_index(op.f(str(index["name"])), table, [str(column) for column in index["column_names"]])
