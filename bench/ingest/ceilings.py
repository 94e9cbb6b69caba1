"""Ingest's own transaction beside the least that a driver can do with the same rows, turn by turn.

Both store into tables with all their indexes, in databases of their own, in groups of the same size, each durable at
its commit. Reading messages is no part of it: `bench.ingest.broker` measures the whole way.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench.ingest.parcels import BATCH, NOW_MS, nodes, parcels, parsed
from bench.telling import Result
from controlplane.db import Database
from controlplane.ingest.domain import COLUMNS, NAMED, Batch, Kind
from controlplane.ingest.loop import MOST_RECORDS
from controlplane.ingest.service import IngestService
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet

BOXES = 50
COLUMNS_OF_A_FRAME = (*NAMED, *COLUMNS[Kind.FRAME])
Rows = list[tuple[Any, ...]]


def beside(url: str, bare: Callable[[Rows], None], records: int, rounds: int) -> Result:
    """Records a second of both, medians of `rounds`, and their ratio."""
    database = Database(url)
    fleet = SimFleet(database, FakeClock(unix=NOW_MS / 1000))
    boxes = nodes(BOXES)
    for node in boxes:
        fleet.join(node)
    service = IngestService(database, fleet.clock)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        batches = records // BATCH // BOXES
        sent = parsed(parcels(boxes, 1 + number * batches * BATCH, batches))
        groups = [sent[at : at + MOST_RECORDS // BATCH] for at in range(0, len(sent), MOST_RECORDS // BATCH)]
        plain = [rows_of(group) for group in groups]
        sides: list[tuple[list[float], Callable[[], None]]] = [
            (ours, lambda groups=groups: _all(service.store, groups)),  # type: ignore[misc]  # bound now
            (theirs, lambda plain=plain: _all(bare, plain)),  # type: ignore[misc]
        ]
        for rates, work in sides if number % 2 else reversed(sides):
            rates.append(len(sent) * BATCH / _seconds(work))
    database.close()
    rate, ceiling = median(ours), median(theirs)
    return {"records_per_second": round(rate), "ceiling": round(ceiling), "ratio": round(rate / ceiling, 3)}


def sqlite(folder: Path, records: int, rounds: int) -> Result:
    """Beside executemany."""
    other = folder / "bare.db"
    Database(f"sqlite:///{other}").close()
    SimFleet(Database(f"sqlite:///{other}"), FakeClock())  # its tables
    connection = sqlite3.connect(other, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    marks = ", ".join("?" * len(COLUMNS_OF_A_FRAME))
    insert = f"INSERT INTO detections ({', '.join(COLUMNS_OF_A_FRAME)}) VALUES ({marks})"

    def bare(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows)
        connection.execute("COMMIT")

    try:
        return beside(f"sqlite:///{folder / 'ours.db'}", bare, records, rounds)
    finally:
        connection.close()


def postgres(url: str, other: str, records: int, rounds: int) -> Result:
    """Beside COPY straight into the table, which could not step over a row that is there."""
    SimFleet(Database(other), FakeClock())
    copy = f"COPY detections ({', '.join(COLUMNS_OF_A_FRAME)}) FROM STDIN"
    with psycopg.connect(other.replace("+psycopg", "")) as connection:

        def bare(rows: Rows) -> None:
            with connection.cursor() as cursor, cursor.copy(copy) as into:
                for row in rows:
                    into.write_row(row)
            connection.commit()

        return beside(url, bare, records, rounds)


def rows_of(batches: Sequence[Batch]) -> Rows:
    """As a driver takes them, ready."""
    return [
        (batch.node, batch.epoch, row.seq, NOW_MS, row.digest, *row.cells) for batch in batches for row in batch.rows
    ]


def _all(store: Callable[[Any], object], groups: Sequence[Any]) -> None:
    for group in groups:
        store(group)


def _seconds(work: Callable[[], None]) -> float:
    gc.collect()
    gc.freeze()  # what is made beforehand is not looked through meanwhile
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    gc.unfreeze()
    return took
