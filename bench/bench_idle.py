"""What an idle box costs on the line: `python -m bench.bench_idle [--quick] [--json FILE]`, as root.

A real `up` and a real agent without cameras, once with Mosquitto and once with the embedded broker. Every IP packet
between box and control plane is counted, both ways, with IP and TCP headers and TLS (bench.idle.wire).

- Steady state: thirty minutes in which nothing changes, scaled to a month of thirty days.
- What is rarer than that: its bytes, measured when the box started, by how often it happens in a month, which is
  walked through by the functions that decide it (bench.idle.month). Of a Sync both the question and the telling of what
  came of it count.
- The two together are at most 5 MB, and nothing that is rare happens in the steady state.
- A box that is stopped dead, its connections open, is shown as offline within five minutes.

`--quick`: a beat every four seconds, for twenty; the bytes of each event, by the rates of the real settings. The end of
an idle Sync connection, after ten minutes, is not in it, and nobody is stopped.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.identity.decisions import DAY
from agent.telemetry.nodestats import QUIET_SECONDS
from bench.idle import cost, month
from bench.idle.cost import Costs, Events
from bench.idle.wire import Packet, Wire
from bench.telling import Result, told
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.config import Config
from tests.servers.box import AgentProcess
from tests.servers.demo import DemoTree

RESULTS = Path(__file__).parent / "results" / "idle.json"
MOST_MB, MOST_ABSENT_SECONDS = 5.0, 300.0
NODE = "quay-1"
BROKERS = {"mosquitto": "127.0.0.9", "embedded": "127.0.0.10"}
SIMULATED_BOXES = 20
RENEWED_DAYS = 3.5  # half of a certificate's week
FILES = 2  # a look that finds nothing but a new timestamp: is there another root, and the timestamp
SIGNED_ANEW_DAYS, FILES_THEN = 3.5, 2  # assignments, at half of their week, and the snapshot that names them
DEFAULTS = Config(Path())


@dataclass(frozen=True)
class Form:
    steady_seconds: float = 1800.0
    settle_seconds: float = 60.0
    beat_seconds: int = DEFAULTS.beat_seconds
    sync_seconds: int = DEFAULTS.sync_interval_seconds
    stopped: bool = True


QUICK = Form(steady_seconds=20.0, settle_seconds=10.0, beat_seconds=4, sync_seconds=1, stopped=False)


@dataclass
class Rig:
    """One control plane, its broker and a box that dials them at an address of its own."""

    tree: DemoTree
    agent: AgentProcess
    wire: Wire

    def packets(self, server: str, since: float, until: float) -> list[Packet]:
        port = self.tree.ports[server]
        return [packet for packet in self.wire.packets if packet.port == port and since <= packet.at < until]

    @property
    def phase(self) -> str:
        return str(self.tree.get(f"nodes/{NODE}")["status"]["phase"])


@contextmanager
def rig(folder: Path, broker: str) -> Iterator[Rig]:
    """Up, with a box that has joined and does not run yet."""
    address = BROKERS[broker]
    flags = ("--embedded-broker",) if broker == "embedded" else ()
    tree = DemoTree(folder / "state", "--listen", "0.0.0.0", "--advertise", address, *flags, demo=False)
    wire, agent = Wire(address), AgentProcess(folder / "box")
    wire.start()
    try:
        tree.start()
        tree.until("the control plane answers", lambda: tree.get("nodes") is not None, 60)
        with Client(Context(tree.page, tree.token)) as client:
            token = client.document("POST", "/jointokens", json={"nodeId": NODE})["token"]
        agent.join(f"https://{address}:{tree.ports['https']}", token)
        yield Rig(tree, agent, wire)
    finally:
        agent.close()
        tree.close()
        wire.stop()


@contextmanager
def configured(form: Form) -> Iterator[None]:
    """For whatever is started meanwhile."""
    told = {"BEAT_SECONDS": form.beat_seconds, "SYNC_INTERVAL_SECONDS": form.sync_seconds}
    os.environ |= {f"LONGSHORE_{name}": str(value) for name, value in told.items()}
    yield
    for name in told:
        del os.environ[f"LONGSHORE_{name}"]


def observed(folder: Path, broker: str, form: Form) -> Result:
    folder.mkdir()
    with rig(folder, broker) as made:
        began = time.monotonic()
        made.agent.start()
        made.tree.until("the box is online", lambda: made.phase == "Online", 30)
        time.sleep(form.settle_seconds)
        steady = time.monotonic()
        time.sleep(form.steady_seconds)
        ended = time.monotonic()
        absent = absence(made) if form.stopped else None
        return judged(made, form, (began, steady, ended), absent)


def absence(made: Rig) -> float:
    """Seconds until a box that neither runs nor says goodbye is shown as offline."""
    made.agent.signal(signal.SIGSTOP)
    try:
        return made.tree.until("the box is shown as offline", lambda: made.phase == "Offline", 2 * MOST_ABSENT_SECONDS)
    finally:
        made.agent.signal(signal.SIGCONT)


def judged(made: Rig, form: Form, times: tuple[float, float, float], absent: float | None) -> Result:
    began, steady, ended = times
    start = {name: made.packets(name, began, steady) for name in ("broker", "grpc", "https")}
    window = {name: made.packets(name, steady, ended) for name in start}
    seen, synced = cost.exchanges(window["broker"]), cost.exchanges(window["grpc"])
    costs = costs_of(start, window)
    parts = cost.month(costs, events())
    window_bytes = sum(map(cost.total, window.values()))
    return {
        "month_mb": round(sum(parts.values()) / 1e6, 3),
        "shares_mb": cost.megabytes(parts),
        "window_bytes": window_bytes,
        "window_scaled_mb": round(window_bytes / form.steady_seconds * month.MONTH_SECONDS / 1e6, 3),
        "window": {kind: sum(each.kind == kind for each in seen) for kind in sorted({each.kind for each in seen})},
        "window_syncs": sum(each.kind == "telemetry" for each in synced),
        "window_files": len(cost.connections(window["https"])),
        "bytes_of_one": {name: round(size) for name, size in vars(costs).items()},
        "absent_seconds": None if absent is None else round(absent, 1),
    }


def costs_of(start: dict[str, list[Packet]], window: dict[str, list[Packet]]) -> Costs:
    """Beats of the window; all else of the start, when each of them happened at least once."""
    broker, sync = start["broker"], start["grpc"]
    opened, opened_sync = cost.opening(broker), cost.opening(sync)
    hello, *later = cost.exchanges(broker[len(opened) :])
    files = cost.connections(start["https"])
    asked = [cost.questions(each) for each in files]
    openings = [cost.total(each[: first[0]]) for each, first in zip(files, asked, strict=True) if first]
    beats = [each.size for each in cost.exchanges(window["broker"]) if each.kind == "beat"]
    return Costs(
        beat=statistics.fmean(beats),
        telemetry=statistics.fmean(each.size for each in later if each.kind == "telemetry"),
        sync=cost.total(sync) - cost.total(opened_sync),
        sync_opening=cost.total(opened_sync) + closing(sync, window["grpc"]),
        file=(sum(map(cost.total, files)) - sum(openings)) / sum(map(len, asked)),
        file_opening=statistics.fmean(openings),
        broker_opening=cost.total(opened) + hello.size,
    )


def closing(sync: list[Packet], window: list[Packet]) -> int:
    """Bytes of the end of the first connection, which an idle one comes to after ten minutes; 0 where that is later."""
    return cost.total(
        packet for packet in window if packet.client == sync[0].client and packet.payload <= cost.BEAT_BYTES
    )


def events() -> Events:
    """Of a month, by the settings that a control plane begins with."""
    walked = [month.rates(DEFAULTS.quiet_sync_seconds, seed) for seed in range(SIMULATED_BOXES)]
    looks = statistics.fmean(each.looks for each in walked)
    anew = month.MONTH_SECONDS / DAY / SIGNED_ANEW_DAYS
    return Events(
        beats=month.MONTH_SECONDS / DEFAULTS.beat_seconds,
        telemetry=month.MONTH_SECONDS / QUIET_SECONDS,
        syncs=statistics.fmean(each.syncs for each in walked),
        files=FILES * looks + FILES_THEN * anew,
        looks=looks,
        renewals=month.MONTH_SECONDS / DAY / RENEWED_DAYS,
    )


def missed(found: Result) -> list[str]:
    wrong = []
    for broker, each in found.items():
        if each["month_mb"] > MOST_MB:
            wrong.append(f"with {broker} an idle box costs {each['month_mb']} MB a month, above {MOST_MB:g}")
        rare = each["window_syncs"] + each["window_files"] + each["window"].get("telemetry", 0)
        if rare > 2:
            wrong.append(f"with {broker} a box at rest sent {rare} things that it should send rarely")
        if each["absent_seconds"] is not None and each["absent_seconds"] > MOST_ABSENT_SECONDS:
            wrong.append(f"with {broker} a dead box was shown as offline after {each['absent_seconds']} s")
    return wrong


def prove(folder: Path, form: Form, brokers: tuple[str, ...] = tuple(BROKERS)) -> Result:
    with configured(form), ThreadPoolExecutor(len(brokers)) as pool:
        running = {broker: pool.submit(observed, folder / broker, broker, form) for broker in brokers}
        found = {broker: each.result() for broker, each in running.items()}
    return {"form": vars(form), "events_a_month": vars(events()), "brokers": found, "missed": missed(found)}


def table(result: Result) -> str:
    lines = []
    for broker, each in result["brokers"].items():
        shares = ", ".join(f"{kind} {size:.2f}" for kind, size in each["shares_mb"].items())
        lines += [f"{broker}: {each['month_mb']:.2f} MB a month ({shares})"]
        lines += [f"  steady state alone, scaled: {each['window_scaled_mb']:.2f} MB; in it: {each['window']}"]
        if each["absent_seconds"] is not None:
            lines += [f"  stopped dead, shown as offline after {each['absent_seconds']:.0f} s"]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds in place of half an hour")
    parser.add_argument("--json", type=Path, help="where to keep the result; the full form: bench/results/idle.json")
    options: Any = parser.parse_args(arguments)
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory(prefix="longshore-idle-") as folder:
        result = prove(Path(folder), form)
    return int(told(table(result), result, result["missed"], options.json or (None if options.quick else RESULTS)))


if __name__ == "__main__":
    sys.exit(main())
