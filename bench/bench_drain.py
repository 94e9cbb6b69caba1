"""A day in the dark, and all come back at once: `python -m bench.bench_drain [--quick] [--sqlite] [--json FILE]`.

A hundred boxes with real outboxes, senders and links connect in the same moment. In each waits what the form says, put
there by the outbox itself; all the while each goes on telling ten records a second. Before and after it the same kind
of batches come straight from one generator, as fast as they are acknowledged: what ingest takes at most in this run.

- the backlog drains at 10,000 records a second or more, and ingest stores at least 60 % of its ceiling meanwhile;
- what is new is stored within 5 s, for 99 of 100 (told to the transaction that stores it);
- boxes are served alike: Jain's index of what each has got rid of by a quarter, half and three quarters of the way is
  never below 0.98;
- the memory of ingest stays within its bound.

A whole day of a hundred boxes is 86.4 million records. Nothing here depends on how long it lasts: rates are steady from
the first second on, so a smaller backlog says the same in less time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.telemetry.generator import USER, Generator, loads
from bench.telemetry.landed import drain, lags, landed, told
from bench.telemetry.stage import INGEST, PATIENCE_SECONDS, Process, Stage, staged
from bench.telling import Result, proven
from protos.topics import ROOT

LEAST_RATE, LEAST_SHARE, MOST_LAG_SECONDS, LEAST_JAIN = 10_000.0, 0.6, 5.0, 0.98
MOST_MORE_MIB = 256  # of ingest, above what it takes when nothing comes: twice its inbox, and what a transaction takes
NODES, GENERATED = "box-", "generated-"
SHARED_MEMORY = Path("/dev/shm")
PROCESSES = 2  # that the boxes share


@dataclass(frozen=True)
class Form:
    """`backlog`: records that wait in each box; `rate`: new ones a second; `batches`: of each for the ceiling.

    `steady`: long enough to judge rates and fairness.
    """

    boxes: int = 100
    backlog: int = 12_000
    rate: float = 10.0
    batches: int = 10
    postgres: bool = True
    steady: bool = True


QUICK = Form(boxes=50, backlog=2_000, batches=4, steady=False)


@dataclass(frozen=True)
class Memory:
    """MiB of a process: now, and the most it ever had."""

    now: float
    most: float


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    size = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return Memory(round(size["VmRSS"], 1), round(size["VmHWM"], 1))


class Fleet:
    """The processes with the boxes in them."""

    def __init__(self, stage: Stage, folder: Path, form: Form) -> None:
        self._stage = stage
        self._folder = folder
        self._processes = []
        self._told = []
        each = form.boxes // PROCESSES
        for first in range(0, form.boxes, each):
            options = [f"--first={first}", f"--boxes={each}", f"--backlog={form.backlog}", f"--rate={form.rate}"]
            where = [str(folder), "127.0.0.1", str(stage.broker.listener.port)]
            command = [sys.executable, "-m", "bench.telemetry.fleet", *where, *options]
            self._processes.append(Process(command, stage.folder / f"fleet-{first}.log"))
            self._told.append(folder / f"fleet.{first}")
        for number in range(form.boxes):
            stage.broker.hand_out(f"{NODES}{number}", folder / f"{NODES}{number}")
            stage.fleet.join(f"{NODES}{number}")

    def filled(self) -> None:
        """Start, and return when what shall wait, waits."""
        for process in self._processes:
            process.start()
        self._until("full outboxes", lambda: all(path.exists() for path in self._told))

    def back(self) -> int:
        """All come back now; when that is, in Unix milliseconds."""
        (self._folder / "go").touch()
        return int(time.time() * 1000)

    def drained(self, live: int) -> None:
        """Return when hardly more waits than what is new, then when nothing does: they tell nothing new any more."""
        self._until("the end of the backlog", lambda: self.sum("waiting") <= live)
        (self._folder / "quiet").touch()
        self._stage.pause(2.0)
        self._until("empty outboxes", lambda: self.sum("waiting") == 0)

    def sum(self, what: str) -> int:
        return sum(json.loads(path.read_text())[what] for path in self._told)

    def kill(self) -> None:
        for process in self._processes:
            process.kill()

    def _until(self, what: str, true: Callable[[], bool]) -> None:
        def looked() -> bool:
            if ended := [each for each in self._processes if each.running is None or each.running.poll() is not None]:
                raise RuntimeError(f"boxes ended: {ended[0].log.read_text()[-2000:]}")
            return true()

        self._stage.until(what, looked, 2 * PATIENCE_SECONDS)


@contextmanager
def disk_of_boxes() -> Iterator[Path]:
    """Each box has a disk of its own in earnest; a hundred on one of this machine's would measure that."""
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="longshore-drain-", dir=parent) as folder:
        yield Path(folder)


def prove(folder: Path, form: Form) -> Result:
    with staged(folder, "mosquitto", postgres=form.postgres, rate=form.rate) as stage, disk_of_boxes() as disk:
        stage.broker.acl += f"user {USER}\ntopic readwrite {ROOT}/#\n"
        generator = Generator(stage.broker.files(USER), stage.broker.listener.port)
        nodes = [f"{GENERATED}{number}" for number in range(form.boxes)]
        for node in nodes:
            stage.fleet.join(node)
        fleet = Fleet(stage, disk, form)
        stage.start()
        try:
            return _measured(stage, form, fleet, generator, nodes)
        finally:
            fleet.kill()


def _measured(stage: Stage, form: Form, fleet: Fleet, generator: Generator, nodes: list[str]) -> Result:
    fleet.filled()
    ingest = stage.planes[INGEST].running
    assert ingest is not None
    idle = memory(ingest.pid)
    ceilings = [generator.rate(loads(nodes, form.batches))]
    back_ms = fleet.back()
    fleet.drained(int(3 * form.rate * form.boxes))
    ceilings.append(generator.rate(loads(nodes, form.batches)))
    after = memory(ingest.pid)
    found = landed(stage.database, NODES, back_ms)
    went = drain(found, back_ms)
    waits = lags(stage.database, NODES, back_ms, went.ended_ms)
    result = {
        "form": asdict(form),
        "ceilings": [round(each) for each in ceilings],
        "drain": {**asdict(went), "jain": round(went.jain, 4)},
        "share": round(went.rate / median(ceilings), 3),
        "lag_seconds": told(waits),
        "memory_mib": {"idle": idle.now, "after": after.now, "most": after.most},
        "told": fleet.sum("told"),
        "stored": sum(each.records for each in found),
        "dropped": fleet.sum("dropped"),
        "repeated_batches": fleet.sum("repeated"),
    }
    return {**result, "missed": missed(result)}


def missed(found: Result) -> list[str]:
    said = [*_of_steady(found)] if found["form"]["steady"] else []
    if found["stored"] + found["dropped"] != found["told"]:
        said.append(f"{found['told']} records were told, {found['stored']} stored and {found['dropped']} dropped")
    if found["lag_seconds"]["p99"] > MOST_LAG_SECONDS:
        said.append(f"what was new came {found['lag_seconds']['p99']} s late")
    memory_mib = found["memory_mib"]
    if memory_mib["most"] > memory_mib["idle"] + MOST_MORE_MIB:
        said.append(f"ingest took {memory_mib['most']} MiB")
    return said


def _of_steady(found: Result) -> Iterator[str]:
    went = found["drain"]
    if went["backlog_rate"] < LEAST_RATE:
        yield f"the backlog drained at {went['backlog_rate']:.0f} records/s"
    if found["share"] < LEAST_SHARE:
        yield f"ingest stored {100 * found['share']:.0f} % of what it can"
    if went["jain"] < LEAST_JAIN:
        yield f"boxes were not served alike: {went['jain']}"


def table(found: Result) -> str:
    went, size, lag = found["drain"], found["memory_mib"], found["lag_seconds"]
    rows = [
        ("boxes", found["form"]["boxes"], ""),
        ("backlog, records", went["backlog"], ""),
        ("seconds", f"{went['seconds']:.1f}", ""),
        ("backlog, records/s", f"{went['backlog_rate']:.0f}", f"{LEAST_RATE:.0f}"),
        ("stored, records/s", f"{went['rate']:.0f}", ""),
        ("ceiling, records/s", ", ".join(map(str, found["ceilings"])), ""),
        ("share of the ceiling", f"{100 * found['share']:.0f} %", f"{100 * LEAST_SHARE:.0f} %"),
        ("lag of what is new", f"p50 {lag['p50']} s, p99 {lag['p99']} s", f"{MOST_LAG_SECONDS} s"),
        ("Jain's index", went["jain"], LEAST_JAIN),
        ("ingest, MiB", f"{size['idle']}, {size['most']} at most", f"{size['idle'] + MOST_MORE_MIB:.0f}"),
        ("batches sent again", found["repeated_batches"], ""),
    ]
    return "\n".join(f"{name:24} {value!s:>26}  {limit!s}" for name, value, limit in [("", "", "goal"), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few boxes and small backlogs, less than a minute")
    parser.add_argument("--sqlite", action="store_true", help="into SQLite instead of PostgreSQL")
    parser.add_argument("--json", type=Path, default=Path("bench/results/drain.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form()
    form = Form(**{**asdict(form), "postgres": not options.sqlite})
    with tempfile.TemporaryDirectory(prefix="longshore-drain-") as folder:
        sys.exit(proven(lambda: prove(Path(folder), form), table, options.json))


if __name__ == "__main__":
    main()
