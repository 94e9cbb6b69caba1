"""The inference protocol against raw ONNX Runtime and other servers: `python -m bench.bench_serving`.

Raw ONNX Runtime, the agent's data plane (bearer token, metrics, validation; with and without TLS), MLServer, Triton
and a plain FastAPI server are asked for the same three models over HTTP and gRPC, at 1, 4 and 16 in flight, in turn on
the same cores, the load generator included. Answers are checked against ONNX Runtime before. Prints medians, ratios to
raw in the same run, and the goals. A missed goal is the exit code, and so is a machine that other work kept too busy
to judge any. Each peer gets an environment of its own in build/bench at its first use; one that cannot be installed or
started is told with the reason.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.bench.figures import Machine
from agent.bench.machine import Meter
from bench.serving import contenders, figures, load, rounds, table, workloads
from bench.serving.cells import OURS, Cell, Standing
from bench.serving.raw import Raw
from bench.serving.rounds import Field, Plan
from bench.telling import kept
from protos.errors import LongshoreError

EXAMPLES = """examples:
  python -m bench.bench_serving                                    all of it, about a quarter of an hour
  python -m bench.bench_serving --quick                            Longshore against raw, under a minute; judges no goal
  python -m bench.bench_serving --peers fastapi --workloads tiny   one peer, one model
  python -m bench.bench_serving --peers none --loop uvloop         what another event loop would bring
"""
RESULTS = Path(__file__).parent / "results" / "serving.json"
PRESSURES = (1, 4, 16)


def options_of(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.bench_serving",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round without peers and TLS; writes no result file")
    add("--peers", type=_list(contenders.PEER_NAMES), help="some of fastapi,mlserver,triton, or none [default: all]")
    add("--workloads", type=_list(tuple(workloads.WORKLOADS)), help="some of tiny,mobilenet,resnet50 [default: all]")
    add("--in-flight", type=_list(("1", "4", "16")), help="some of 1,4,16 [default: all]")
    add("--rounds", type=int, help="[default: 3; quick: 1]")
    add("--seconds", type=float, help="of each cell, after half a second to settle [default: 2; quick: 0.6]")
    add("--loop", choices=["agent", "asyncio", "uvloop"], default="agent", help="event loop of Longshore's server")
    add("--json", type=Path, help=f"[default: bench/results/{RESULTS.name}; quick: none]")
    options = parser.parse_args(words)
    return _with_defaults(options)


def _list(known: tuple[str, ...]) -> Any:
    """Of words with commas between them."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = () if text == "none" else tuple(text.split(","))
        if unknown := [word for word in chosen if word not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return chosen

    return parse


def _with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    quick: bool = options.quick
    if options.peers is None:
        options.peers = () if quick else contenders.PEER_NAMES
    options.workloads = options.workloads or tuple(workloads.WORKLOADS)
    options.in_flight = options.in_flight or tuple(map(str, PRESSURES))
    options.rounds = options.rounds or (1 if quick else 3)
    options.seconds = options.seconds or (0.6 if quick else 2.0)
    options.json = options.json or (None if quick else RESULTS)
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    return Plan(
        tuple(workloads.WORKLOADS[name] for name in options.workloads),
        tuple(map(int, options.in_flight)),
        options.rounds,
        options.seconds,
        idle_seconds=1.0 if options.quick else 5.0,
    )


def measured(options: argparse.Namespace) -> tuple[list[Standing], list[Cell]]:
    """Start all, ask all, end all."""
    plan = plan_of(options)
    asked = [contenders.longshore(loop=options.loop, tls=not options.quick), *contenders.peers(options.peers)]
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        models = Path(place) / "models"
        models.mkdir()
        say("making the models")
        workloads.write(models, plan.workloads)
        expected = {each.name: workloads.answer(models, each) for each in plan.workloads}
        there = Field(stack, models, expected, say)
        for contender in asked:
            own = Path(place) / contender.name
            own.mkdir()
            there.start(contender, own, plan.workloads)
        there.idle(plan.idle_seconds)
        raw = stack.enter_context(Raw(models))
        return there.standings, rounds.run(plan, raw, there, say)


def result(
    options: argparse.Namespace, standings: Sequence[Standing], cells: Sequence[Cell], machine: Machine
) -> dict[str, Any]:
    """For a machine."""
    found = figures.rows(cells)
    shown = ("name", "version", "ready_seconds", "idle_cores", "memory_mb", "reason")
    return {
        "otherCores": round(machine.others, 2),
        "judged": _judged(options, machine),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "loop": options.loop,
        "servers": [{name: getattr(each, name) for name in shown} for each in standings],
        "raw": [asdict(each) for each in figures.references(cells)],
        "rows": [asdict(row) for row in found],
        "goals": [{**asdict(each), "missed": each.missed} for each in figures.verdicts(found, standings)],
    }


def _judged(options: argparse.Namespace, machine: Machine) -> bool:
    return not options.quick and not machine.is_busy


def say(what: str) -> None:
    print(f"· {what}", file=sys.stderr)


def main(words: Sequence[str]) -> int:
    options = options_of(words)
    meter = Meter()
    try:
        load.ensure()
        standings, cells = measured(options)
    except LongshoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    machine = meter.machine(os.cpu_count() or 1)
    found = figures.rows(cells)
    told = figures.verdicts(found, standings)
    judged = _judged(options, machine)
    print(table.report(standings, found, figures.references(cells), told, judged=judged))
    if not (judged or options.quick):
        print(f"\n{table.others(machine.others)}")
    if options.json:
        kept(result(options, standings, cells, machine), options.json)
    if standings[0].reason or any(row.reason for row in found if row.line.startswith(OURS)):
        return 1
    return int(not options.quick and (not judged or any(each.missed for each in told)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
