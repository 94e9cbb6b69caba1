"""How much a box's outbox takes, and what it costs: `python -m bench.bench_outbox [--quick] [--json FILE]`.

- records accepted durably, as fast as they come from 32 producers that wait for it: at least 2,000 a second, and at
  least half of what SQLite itself does with the same records in the same commits: a bare loop over the same tables,
  with the same pragmas, in the same run, one after the other in turns;
- at 2,000 records a second, from handing a record over to knowing that it is durable: p99 at most 60 ms;
- at 50 records a second, outbox and sender in a process of their own, over TLS to a broker and a control plane that
  acknowledges: the share of a core, told as it is.

What a commit costs is the disk's: its own p99, of the bare loop, is told beside ours. The folder is made beside the
results, not under /tmp, which may be memory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from agent.adapters.mqtt import MqttLink, MqttSettings, TlsFiles
from agent.adapters.outbox_file import Work, prepare
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.adapters.outbox_tables import SCHEMA
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Draft
from agent.telemetry.sender import Sender
from agent.trial.tally import percentile
from bench.telling import Result, proven
from controlplane.db import Database
from controlplane.trust.domain import CONTROL_PLANE_USER
from tests.servers.brokers import TlsBroker
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.telemetry import NODE, draft
from tests.sim.wall_clock import WallClock

LEAST_RATE, LEAST_SHARE, LONGEST_ACCEPT = 2_000.0, 0.5, 0.060
PRODUCERS, HANDFUL = 32, 64  # that many hand over so many records at once, and wait
PACED, TICK = 2_000, 0.005  # records a second, and seconds between two handfuls of them
IDLE = 50  # records a second
ROOM = 1 << 30
KINDS = (*[RecordClass.DETECTION] * 16, *[RecordClass.DEBUG] * 12, *[RecordClass.METRIC] * 3, RecordClass.ALARM)


@dataclass(frozen=True)
class Form:
    records: int = 40_000  # of a round
    rounds: int = 5
    paced: float = 20.0  # seconds
    idle: float = 30.0


QUICK = Form(records=6_000, rounds=3, paced=3.0, idle=5.0)


class Watched(SqliteOutbox):
    """Knows which records were in each of its commits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ROOM)
        self.commits: list[list[Draft]] = []
        apply = self._file.apply

        def watched(work: Work) -> object:
            self.commits.append(work.drafts)
            return apply(work)

        self._file.apply = watched  # type: ignore[assignment,method-assign]  # what it answers goes through


def drafts(count: int) -> list[Draft]:
    """As a box tells them: some of each class."""
    return [draft(KINDS[number % len(KINDS)], number) for number in range(count)]


async def ours(folder: Path, told: Sequence[Draft]) -> tuple[float, list[list[Draft]]]:
    """Seconds until all is durable, and what each commit held."""
    outbox = Watched(folder / "ours.db")
    await outbox.start()
    outbox.commits.clear()
    handfuls = iter([told[start : start + HANDFUL] for start in range(0, len(told), HANDFUL)])

    async def produce() -> None:
        for handful in handfuls:
            assert await outbox.accepted(*handful)

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
    spent = time.perf_counter() - began
    await outbox.close()
    return spent, [each for each in outbox.commits if each]


def bare(folder: Path, commits: Sequence[Sequence[Draft]]) -> tuple[float, list[float]]:
    """The same records in the same commits, by SQLite alone: seconds, in all and of each commit."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    prepare(connection)
    connection.executescript(SCHEMA)
    last, spent = dict.fromkeys(RecordClass, 0), list[float]()
    began = time.perf_counter()
    for each in commits:
        before = time.perf_counter()
        at_ms, rows = int(time.time() * 1000), []
        for one in each:
            last[one.record_class] += 1
            rows.append((int(one.record_class), last[one.record_class], at_ms, one.body))
        epochs = [(int(kind), kind.word, int(kind), "start", count, 0, b"\x90") for kind, count in last.items()]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        connection.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?)", epochs)
        connection.execute("COMMIT")
        spent.append(time.perf_counter() - before)
    whole = time.perf_counter() - began
    connection.close()
    return whole, spent


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A folder that is there for one measurement."""
    made = Path(tempfile.mkdtemp(dir=folder))
    yield made
    shutil.rmtree(made)


async def throughput(folder: Path, form: Form) -> Result:
    """Rounds of ours and of the bare loop, in turns; the medians of both."""
    told, rates, ceilings, sizes = drafts(form.records), list[float](), list[float](), list[int]()
    for _ in range(form.rounds):
        with emptied(folder) as place:
            spent, commits = await ours(place, told)
            rates.append(form.records / spent)
            sizes += map(len, commits)
            ceilings.append(form.records / bare(place, commits)[0])
    rate, ceiling = statistics.median(rates), statistics.median(ceilings)
    return {
        "records_per_second": round(rate),
        "sqlite_records_per_second": round(ceiling),
        "share_of_sqlite": round(rate / ceiling, 3),
        "records_of_a_commit": round(statistics.median(sizes)),
        "rounds": [[round(one), round(other)] for one, other in zip(rates, ceilings, strict=True)],
    }


async def acceptance(folder: Path, seconds: float) -> Result:
    """At PACED records a second: until each handful is known to be durable; and the disk's own commits."""
    told, waits = drafts(round(PACED * TICK)), list[float]()
    with emptied(folder) as place:
        outbox = Watched(place / "paced.db")
        await outbox.start()
        outbox.commits.clear()

        async def hand_over() -> None:
            began = time.perf_counter()
            assert await outbox.accepted(*told)
            waits.append(time.perf_counter() - began)

        began, tasks = time.perf_counter(), list[asyncio.Task[None]]()
        for number in range(round(seconds / TICK)):
            await asyncio.sleep(max(0.0, began + number * TICK - time.perf_counter()))
            tasks.append(asyncio.create_task(hand_over()))
        await asyncio.gather(*tasks)
        await outbox.close()
        disk = bare(place, [each for each in outbox.commits if each])[1]
    return {
        "records": len(waits) * len(told),
        "accept_p50_seconds": round(percentile(waits, 0.5), 4),
        "accept_p99_seconds": round(percentile(waits, 0.99), 4),
        "sqlite_commit_p99_seconds": round(percentile(disk, 0.99), 4),
    }


def share_of_a_core(folder: Path, seconds: float) -> Result:
    """Outbox and sender at IDLE records a second, by their own process's account."""
    with ExitStack() as stack:
        database = Database(url := f"sqlite:///{folder / 'plane.db'}")
        SimFleet(database, FakeClock()).join(NODE)
        database.close()
        broker = TlsBroker("embedded", folder)
        broker.start()
        stack.callback(broker.kill)
        plane, box = (_identity(broker, folder, user) for user in (CONTROL_PLANE_USER, NODE))
        stack.enter_context(_running("tests.sim.telemetry_plane", *plane, url))
        with _running("bench.bench_outbox", "--box", *box, str(seconds)) as process:
            said = process.communicate(timeout=seconds + 60)[0].decode().split()
    spent, accepted, waiting = (float(each) for each in said)
    return {"share_of_a_core": round(spent / seconds, 4), "records": round(accepted), "waiting": round(waiting)}


def _identity(broker: TlsBroker, folder: Path, user: str) -> list[str]:
    """Folder of certificates, host, port and version for a process."""
    broker.hand_out(user, folder / user)
    return [str(folder / user), "127.0.0.1", str(broker.listener.port), str(int(broker.mqtt5))]


@contextmanager
def _running(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def box(folder: Path, host: str, port: int, mqtt5: bool, seconds: float) -> None:  # noqa: FBT001 - of a command
    """Tell IDLE records a second and then what it cost: CPU seconds, records accepted, records that wait."""
    outbox = SqliteOutbox(folder / "outbox.db", ROOM)
    await outbox.start()
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    link = MqttLink(MqttSettings(NODE, host, port, files, mqtt5, b"", b""))
    sender = Sender(outbox, WallClock(), random.random)
    sender.attach(link)
    link.start()
    sending = asyncio.create_task(sender.run())
    told = drafts(IDLE)
    await _tell(outbox, told, 3.0)
    before, accepted = time.process_time(), outbox.summary().accepted
    await _tell(outbox, told, seconds)
    spent, said = time.process_time() - before, outbox.summary()
    print(spent, said.accepted - accepted, said.waiting_rows)
    sending.cancel()
    await link.close()
    await outbox.close()


async def _tell(outbox: SqliteOutbox, told: Sequence[Draft], seconds: float) -> None:
    began = time.perf_counter()
    for number in range(round(seconds * IDLE)):
        await asyncio.sleep(max(0.0, began + number / IDLE - time.perf_counter()))
        outbox.put(told[number % len(told)])


def prove(folder: Path, form: Form) -> Result:
    most, paced = uvloop.run(throughput(folder, form)), uvloop.run(acceptance(folder, form.paced))
    idle = share_of_a_core(folder, form.idle)
    missed = []
    if most["records_per_second"] < LEAST_RATE:
        missed.append(f"{most['records_per_second']} records a second are fewer than {LEAST_RATE:.0f}")
    if most["share_of_sqlite"] < LEAST_SHARE:
        missed.append(f"{most['share_of_sqlite']} of what SQLite does are less than {LEAST_SHARE}")
    if paced["accept_p99_seconds"] > LONGEST_ACCEPT:
        missed.append(f"p99 of accepting is {paced['accept_p99_seconds']} s, above {LONGEST_ACCEPT}")
    if idle["records"] < 0.9 * IDLE * form.idle or idle["waiting"] > 2 * IDLE:
        missed.append(f"at {IDLE} records a second {idle['records']} were accepted and {idle['waiting']} wait")
    return {"form": vars(form), "throughput": most, "paced": paced, "idle": idle, "missed": missed}


def table(result: Result) -> str:
    most, paced, idle = (result[name] for name in ("throughput", "paced", "idle"))
    return (
        f"{most['records_per_second']:>8} records/s durable, in commits of {most['records_of_a_commit']}\n"
        f"{most['sqlite_records_per_second']:>8} records/s by SQLite alone: ours are {most['share_of_sqlite']:.0%}\n"
        f"{paced['accept_p99_seconds'] * 1000:>8.1f} ms to accept at {PACED} records/s, p99; "
        f"{paced['accept_p50_seconds'] * 1000:.1f} ms p50; SQLite's own commit takes "
        f"{paced['sqlite_commit_p99_seconds'] * 1000:.1f} ms, p99\n"
        f"{idle['share_of_a_core']:>8.1%} of a core at {IDLE} records/s, outbox and sender"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--json", type=Path, default=Path("bench/results/outbox.json"))
    parser.add_argument("--box", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.box:
        place, host, port, version, seconds = options.box
        uvloop.run(box(Path(place), host, int(port), version == "1", float(seconds)))
        return
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.json.parent) as folder:
        sys.exit(proven(lambda: prove(Path(folder), QUICK if options.quick else Form()), table, options.json))


if __name__ == "__main__":
    main()
