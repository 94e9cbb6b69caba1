"""Questions about detections on a million rows, each against its limit: `python -m bench.bench_detections [--rows N]`.

On SQLite in a folder of its own, or on the database of `--url`, which must be empty. Prints the median of five pages of
a hundred in milliseconds, and the index that the database says it uses.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert

from bench.telling import told
from controlplane.adapters.clock import SystemClock
from controlplane.db import Database
from controlplane.insights.matching import Wanted
from controlplane.insights.service import InsightsService
from controlplane.migrations.migrate import migrate
from controlplane.tables import Detection

PAGE = 100
DAY_MS = 86_400_000
CAMERAS, NODES = 24, 8
LABELS = ["person"] * 60 + ["car"] * 30 + ["boat"] * 10
DIGEST = "sha256:" + "a" * 64
EMPTY = {"camera": "no-such-camera", "node": "no-such-node", "deployment": "no-such-deployment"}


@dataclass(frozen=True)
class Question:
    what: str
    wanted: dict[str, Any]
    limit_ms: float


QUESTIONS = (
    Question("newest of all", {}, 50),
    Question("newest of one camera", {"camera": "camera-7"}, 50),
    Question("of a camera that is not there", {"camera": EMPTY["camera"]}, 50),
    Question("of a node that is not there", {"node": EMPTY["node"]}, 50),
    Question("of a deployment that is not there", {"deployment": EMPTY["deployment"]}, 50),
    Question("a common label", {"label": "person"}, 250),
    Question("a label in a zone", {"label": "boat", "zone": "gate", "min_score": 0.8}, 500),
    Question("a rare label (one in 100 000)", {"label": "whale"}, 1_500),
    Question("a label nobody saw", {"label": "submarine"}, 1_500),
    Question("a zone nobody entered, of one camera", {"camera": "camera-7", "zone": "vault"}, 500),
)


def rows(count: int, now_ms: int) -> Iterator[dict[str, Any]]:
    """Seven days of them."""
    chance = random.Random(1)
    for number in range(count):
        camera = chance.randrange(CAMERAS)
        boxes = [_box(chance, number) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
        at_ms = now_ms - 7 * DAY_MS + number * 7 * DAY_MS // count
        yield {
            "node_id": f"node-{camera % NODES}",
            "epoch": "e1",
            "seq": number + 1,
            "stored_ms": at_ms,
            "at_ms": at_ms,
            "camera": f"camera-{camera}",
            "deployment": "harbour-watch",
            "release_digest": DIGEST,
            "captured_unix_ns": at_ms * 10**6,
            "ts_source": "rtcp",
            "outcome": "ok_local",
            "latency_seconds": 0.04,
            "ran_on": "local",
            "frame_seq": number,
            "boxes": boxes,
            "labels": "\n".join(sorted({box["label"] for box in boxes})),
            "zones": "\n".join(sorted({zone for box in boxes for zone in box["zones"]})),
            "top_score": max((box["score"] for box in boxes), default=0.0),
        }


def _box(chance: random.Random, number: int) -> dict[str, Any]:
    label = "whale" if number % 100_000 == 7 else chance.choice(LABELS)
    x, y = chance.random() * 0.8, chance.random() * 0.8
    zones = ["gate"] if chance.random() < 0.2 else []
    corners = {"x0": x, "y0": y, "x1": x + 0.1, "y1": y + 0.1}
    return {**corners, "score": round(0.3 + 0.69 * chance.random(), 3), "label": label, "zones": zones}


def fill(database: Database, count: int, now_ms: int) -> None:
    made, total = rows(count, now_ms), 0
    while chunk := [row for row, _ in zip(made, range(5_000), strict=False)]:
        with database.begin() as session:
            session.execute(insert(Detection), chunk)
        total += len(chunk)
        if sys.stderr.isatty():
            print(f"\rfilling: {100 * total // count} %", end="\n" if total >= count else "", file=sys.stderr)


@dataclass(frozen=True)
class Measured:
    what: str
    found: int
    milliseconds: float
    limit_ms: float
    plan: str


def measure(database: Database, question: Question, now_ms: int) -> Measured:
    told: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: told.append((given[2], given[3])))
    service = InsightsService(database, SystemClock())
    wanted = Wanted(now_ms - 7 * DAY_MS, now_ms + 1, **question.wanted)
    spent = []
    for _ in range(5):
        started = time.perf_counter()
        page = service.detections(wanted, PAGE)
        spent.append((time.perf_counter() - started) * 1000)
    plan = _plan(database, *next(each for each in told if each[0].startswith("SELECT")))
    return Measured(question.what, len(page.items), statistics.median(spent), question.limit_ms, plan)


def _plan(database: Database, statement: str, values: Any) -> str:
    """The line that names how rows are found."""
    explain = "EXPLAIN QUERY PLAN" if database.engine.dialect.name == "sqlite" else "EXPLAIN"
    with database.engine.connect() as connection:
        lines = [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", values)]
    return next((line.strip() for line in lines if "ix_" in line or "SCAN" in line or "Scan" in line), lines[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="default: SQLite in a folder of its own")
    parser.add_argument("--json", type=Path, default=Path("bench/results/detections.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.url or f"sqlite:///{folder}/longshore.db")
        migrate(database)
        now_ms = int(time.time() * 1000)
        fill(database, options.rows, now_ms)
        measured = [measure(database, question, now_ms) for question in QUESTIONS]
        kind = database.engine.dialect.name
        database.close()
    lines = [
        f"{each.milliseconds:8.1f} ms  of {each.limit_ms:5.0f}  {each.found:4d} found  {each.what}: {each.plan}"
        for each in measured
    ]
    result = {"database": kind, "rows": options.rows, "pages": [asdict(each) for each in measured]}
    missed = [each.what for each in measured if each.milliseconds > each.limit_ms]
    sys.exit(told("\n".join(lines), result, missed, options.json))


if __name__ == "__main__":
    main()
