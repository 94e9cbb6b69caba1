"""A server at twice what it can do: `python -m bench.bench_door [--quick] [--json FILE]`.

The agent's own data plane serves one model in a process of its own, once behind its door and once without it. In each
round, over REST and over gRPC, both in turn: first what it can do (callers who ask again at once), then twice that, in
an open loop, each request with a deadline. Held is that behind the door as many answers come in time as it can give at
its best (0.95 of that), that what was let in is answered by its deadline (p99), and that who is turned away hears it
within 5 ms (p99), the load generator's own delays included.

A call is a millisecond or two of work and SLOW_DOWN of waiting, as a GPU would have it: two cores are shared by the
server and those who ask, and what the door decides is to be seen, not how they get in each other's way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import uvloop

from agent.trial.tally import percentile
from bench.door import asking
from bench.door.asking import ANSWERED, EXPIRED, FAILED, TURNED, Ended, OverGrpc, OverRest
from bench.serving import graphs, workloads
from bench.serving.servers import Command, Server
from bench.serving.workloads import Workload
from bench.telling import Result, proven
from tests.servers.ports import free_port

DENSE = Workload("dense", (1, 16), (1, 16), graphs.dense)
SLOW_DOWN = 0.016  # seconds added to each call
DEADLINE = 0.25  # seconds
OVER = 2.0  # times what the server can do
CALLERS = 8
SETTLE_SECONDS = 0.3
TOKEN = "bench"
GOODPUT, REFUSED_MS = 0.95, 5.0
KINDS = {"REST": OverRest, "gRPC": OverGrpc}
BEHIND, WITHOUT = "behind its door", "without a door"


@dataclass(frozen=True)
class Form:
    rounds: int = 4
    seconds: float = 5.0  # of each load
    peak_seconds: float = 3.0


QUICK = Form(2, 2.5, 1.5)


@dataclass(frozen=True)
class Load:
    """One server over one protocol at OVER times its best, all rounds; rates a second."""

    peak: float
    asked: int
    goodput: float
    answered: int
    expired: int
    failed: int
    turned: int
    let_in_p99_ms: float  # of answers, and of what expired after it was let in
    turned_p50_ms: float
    turned_p99_ms: float
    of_peak: float


Said = dict[tuple[str, str], list[tuple[float, list[Ended]]]]  # by protocol and server: the peak, what ended; a round


async def rounds(ports: Mapping[str, Mapping[str, int]], form: Form) -> Said:
    """`ports`: by server, of each protocol."""
    said: Said = {}
    for turn in range(form.rounds):
        for kind, of_kind in KINDS.items():
            for server in (BEHIND, WITHOUT) if turn % 2 else (WITHOUT, BEHIND):
                ask = of_kind(ports[server][kind], DENSE, TOKEN)
                await asking.closed_loop(ask, CALLERS, SETTLE_SECONDS)
                peak = await asking.closed_loop(ask, CALLERS, form.peak_seconds)
                ended = await asking.open_loop(ask, OVER * peak, form.seconds, DEADLINE, seed=turn)
                said.setdefault((kind, server), []).append((peak, ended))
                await ask.close()
                await asyncio.sleep(DEADLINE)
    return said


def load(found: Sequence[tuple[float, Sequence[Ended]]], seconds: float) -> Load:
    """Pure. Medians of rounds for rates, all requests together for the rest."""
    all_ended = [each for _, ended in found for each in ended]
    seconds_of = {how: [each.seconds for each in all_ended if each.how == how] for how in (ANSWERED, EXPIRED, TURNED)}
    goodputs = [asking.in_time(ended, DEADLINE) / seconds for _, ended in found]
    peaks = [peak for peak, _ in found]
    return Load(
        peak=round(statistics.median(peaks), 1),
        asked=len(all_ended),
        goodput=round(statistics.median(goodputs), 1),
        answered=len(seconds_of[ANSWERED]),
        expired=len(seconds_of[EXPIRED]),
        failed=sum(each.how == FAILED for each in all_ended),
        turned=len(seconds_of[TURNED]),
        let_in_p99_ms=_ms(percentile([*seconds_of[ANSWERED], *seconds_of[EXPIRED]], 0.99)),
        turned_p50_ms=_ms(percentile(seconds_of[TURNED], 0.5)),
        turned_p99_ms=_ms(percentile(seconds_of[TURNED], 0.99)),
        of_peak=round(statistics.median(good / peak for good, peak in zip(goodputs, peaks, strict=True)), 3),
    )


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 2)


def missed(loads: Mapping[str, Mapping[str, Load]]) -> list[str]:
    """By protocol and server. Pure."""
    found = []
    for kind, servers in loads.items():
        held = servers[BEHIND]
        if held.of_peak < GOODPUT:
            found.append(f"{kind}: {held.of_peak:.3f} of the peak is answered in time, of {GOODPUT:g}")
        if held.let_in_p99_ms > 1e3 * DEADLINE:
            found.append(f"{kind}: what was let in takes {held.let_in_p99_ms:.0f} ms (p99), of {1e3 * DEADLINE:g}")
        if held.turned_p99_ms > REFUSED_MS:
            found.append(f"{kind}: a refusal takes {held.turned_p99_ms:.1f} ms (p99), of {REFUSED_MS:g}")
        if held.failed or not held.turned:
            found.append(f"{kind}: {held.failed} requests failed and {held.turned} were turned away")
    return found


def table(result: Result) -> str:
    lines = [f"{'':24} {'peak':>7} {'in time':>8} {'of peak':>8} {'let in p99':>11} {'turned p99':>11}"]
    for kind, servers in result["loads"].items():
        for server, of in servers.items():
            lines.append(
                f"{kind + ' ' + server:24} {of['peak']:7.1f} {of['goodput']:8.1f} {of['of_peak']:8.3f}"
                f" {of['let_in_p99_ms']:8.0f} ms {of['turned_p99_ms']:8.2f} ms"
            )
    lines += [
        f"{kind}: {ratio:.2f} times as many in time as without the door" for kind, ratio in result["times"].items()
    ]
    return "\n".join(lines)


def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    workloads.write(folder, [DENSE])
    with ExitStack() as stack:
        ports = {name: _started(stack, folder, name) for name in (BEHIND, WITHOUT)}
        said = uvloop.run(rounds(ports, form))
    loads = {kind: {name: load(said[kind, name], form.seconds) for name in (BEHIND, WITHOUT)} for kind in KINDS}
    shown: dict[str, Any] = {kind: {name: asdict(of) for name, of in each.items()} for kind, each in loads.items()}
    return {
        **asdict(form),
        "deadline_ms": 1e3 * DEADLINE,
        "times_the_peak": OVER,
        "loads": shown,
        "times": {
            kind: round(each[BEHIND].goodput / max(0.1, each[WITHOUT].goodput), 2) for kind, each in loads.items()
        },
        "missed": missed(loads),
    }


def _times(one: Load, other: Load) -> float:
    return round(one.goodput / max(0.1, other.goodput), 2)


def _started(stack: ExitStack, folder: Path, name: str) -> dict[str, int]:
    ports = {"REST": free_port(), "gRPC": free_port()}
    words = [
        *(sys.executable, "-m", "bench.serving.box", str(folder), f"--slow-down={SLOW_DOWN}"),
        *(f"--http-port={ports['REST']}", f"--grpc-port={ports['gRPC']}", *(["--no-door"] if name == WITHOUT else [])),
    ]
    server = stack.enter_context(Server(Command(words, folder / f"{name}.log", {"LONGSHORE_BENCH_TOKEN": TOKEN})))
    server.until(lambda: urlopen(f"http://127.0.0.1:{ports['REST']}/v2/health/ready", timeout=1).close())
    return ports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", type=Path, default=Path("bench/results/door.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: prove(Path(folder), form), table, options.json))


if __name__ == "__main__":
    main()
