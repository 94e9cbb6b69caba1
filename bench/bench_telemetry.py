"""Telemetry through kills: `python -m bench.bench_telemetry [--quick] [--broker KIND] [--json FILE]`.

Boxes (real outbox, sender and link) tell records of all four classes to a real broker and a real control plane over a
real database, while kill -9 fells them all, one after the other, in an order that the seed decides: agents, broker,
a process that takes telemetry in, the control plane that does so beside it, and the database. One box has an outbox so
small that it must drop. In the middle the broker stays away for a while.

- accepted = stored + declared dropped + waiting, for each box and class, and in the end nothing waits;
- nothing is stored twice, and what is read is in the order (epoch, number);
- the books that were kept meanwhile are true: what `longshore verify telemetry` recounts deviates in nothing.

Accepted is what each producer wrote down itself behind each commit (bench.telemetry.history), at 500 records a second
of all boxes at least, or the run does not count.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.telemetry.history import CLASSES, History
from bench.telemetry.stage import (
    AGENT,
    BROKER,
    CONTROL_PLANE,
    DATABASE,
    INGEST,
    KINDS,
    ROOMY,
    TIGHT,
    Stage,
    staged,
)
from bench.telling import Result, proven
from controlplane.adapters.clock import SystemClock
from controlplane.books.service import BooksService
from controlplane.db import Database
from tests.servers.brokers import KINDS as BROKERS

SEED = 2027
LEAST_RATE = 500.0  # records a second
FULL = {AGENT: 200, BROKER: 50, INGEST: 50, CONTROL_PLANE: 50, DATABASE: 50}


@dataclass(frozen=True)
class Form:
    """How much is proven. `rate`: records a second of all boxes; `pause`: seconds between two kills, at most."""

    kills: Mapping[str, int] = field(default_factory=lambda: FULL)
    broker: str = "mosquitto"
    postgres: bool = True
    boxes: int = 4
    rate: float = 800.0
    pause: float = 2.0
    dark: float = 15.0
    seed: int = SEED


QUICK = Form({AGENT: 6, BROKER: 2, INGEST: 2, CONTROL_PLANE: 2, DATABASE: 2}, boxes=2, rate=700.0, dark=4.0)


@dataclass(frozen=True)
class Recounted:
    """Of one box: its lines, the rows found in them, and each deviation in a sentence."""

    lines: int = 0
    rows: int = 0
    deviations: tuple[str, ...] = ()


def order(form: Form, rng: random.Random) -> list[str]:
    """Whose turn it is."""
    turns = [kind for kind in KINDS for _ in range(form.kills.get(kind, 0)) if form.postgres or kind != DATABASE]
    rng.shuffle(turns)
    return turns


def storm(stage: Stage, form: Form) -> Counter[str]:
    """Kill them all, so many times; how often each was."""
    rng, killed = random.Random(form.seed), Counter[str]()
    turns = order(form, rng)
    for number, kind in enumerate(turns):
        stage.pause(rng.uniform(0.05, form.pause))
        stage.fell(kind, rng.choice(stage.boxes))
        killed[kind] += 1
        if number == len(turns) // 2:
            stage.broker.kill()
            stage.pause(form.dark)
            stage.broker.start()
    return killed


def prove(folder: Path, form: Form) -> Result:
    """What was found, what was missed, and in `broken` what must not be even once."""
    with staged(folder, form.broker, postgres=form.postgres, rate=form.rate / form.boxes) as stage:
        for number in range(form.boxes):
            stage.box(f"quay-{number}", ROOMY if number else TIGHT)
        if form.kills.get(CONTROL_PLANE):
            stage.with_control_plane()
        stage.start()
        stage.until("the first record of each box", lambda: not stage.bare)
        began, before = time.monotonic(), stage.accepted
        killed = storm(stage, form)
        seconds, accepted = time.monotonic() - began, stage.accepted - before
        drained = stage.silence()
        ended = {kind: plane.ended for kind, plane in stage.planes.items()}
        ended[AGENT] = sum(box.process.ended for box in stage.boxes)
        histories = stage.histories()
        recounts = [recounted(stage.database, history.node) for history in histories]
    counts = {history.node: dict(history.counts()) for history in histories}
    rate = accepted / seconds
    broken = [sentence for history in histories for sentence in history.complaints()]
    broken += [sentence for recount in recounts for sentence in recount.deviations]
    return {
        "form": asdict(form),
        "kills": dict(killed),
        "ended_by_themselves": ended,
        "seconds": round(seconds, 1),
        "drained_after": round(drained, 1),
        "rate": round(rate),
        "classes": {each: sum(accepted_of(history, each) for history in histories) for each in CLASSES},
        "boxes": counts,
        "recounted": {
            "lines": sum(each.lines for each in recounts),
            "rows": sum(each.rows for each in recounts),
        },
        "broken": broken,
        "missed": [*broken, *crashes(ended), *weak(histories, rate)],
    }


def recounted(database: Database, node: str) -> Recounted:
    """All lines of a box, as a user would have them verified."""
    service, after, found = BooksService(database, SystemClock()), "", Recounted()
    while True:
        part = service.verify(node, after)
        said = tuple(f"{node}: {each.code} in {each.epoch}: {each.sentence}" for each in part.deviations)
        found = Recounted(found.lines + part.lines, found.rows + part.rows, found.deviations + said)
        if not (after := part.after):
            return found


def accepted_of(history: History, record_class: str) -> int:
    return sum(count for (_, each), count in history.accepted.items() if each == record_class)


def crashes(ended: Mapping[str, int]) -> list[str]:
    """Who ended without being killed; a control plane may, when it starts while its database is away."""
    return [f"{kind} ended {count} times by itself" for kind, count in ended.items() if count and kind != CONTROL_PLANE]


def weak(histories: Sequence[History], rate: float) -> list[str]:
    """Why a run without a complaint would prove little."""
    said = [f"{rate:.0f} records a second are too few"] if rate < LEAST_RATE else []
    missing = [each for each in CLASSES if not all(accepted_of(history, each) for history in histories)]
    said += [f"a box told no {each}" for each in missing]
    if not histories[0].counts()["dropped"]:
        said.append("the small outbox dropped nothing")
    return said


def table(found: Result) -> str:
    kills = ", ".join(f"{count} of the {kind}" for kind, count in found["kills"].items())
    rows = [("box", "accepted", "stored", "dropped", "gaps")]
    rows += [
        (name, *(str(of.get(each, 0)) for each in ("accepted", "stored", "dropped", "gaps")))
        for name, of in found["boxes"].items()
    ]
    lines = [
        f"{name:10} {accepted:>9} {kept:>9} {dropped:>9} {gaps:>6}" for name, accepted, kept, dropped, gaps in rows
    ]
    lines.append(f"kill -9: {kills}, in {found['seconds']} s at {found['rate']} records/s")
    lines.append(f"by class: {', '.join(f'{count} {each}' for each, count in found['classes'].items())}")
    lines.append("{rows} records recounted in {lines} lines of numbers".format(**found["recounted"]))
    lines.append(f"nothing waited any more {found['drained_after']} s after the last record")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few kills of each, less than a minute")
    parser.add_argument("--broker", choices=BROKERS, default=Form.broker)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, default=Path("bench/results/telemetry.json"))
    options = parser.parse_args()
    chosen: dict[str, Any] = {"broker": options.broker, "seed": options.seed}
    form = Form(**{**asdict(QUICK if options.quick else Form()), **chosen})
    with tempfile.TemporaryDirectory(prefix="longshore-telemetry-") as folder:
        sys.exit(proven(lambda: prove(Path(folder), form), table, options.json))


if __name__ == "__main__":
    main()
