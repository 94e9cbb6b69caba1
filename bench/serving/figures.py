"""Medians of rounds, ratios to raw ONNX Runtime in the same run, and the goals they are held against; pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.serving.cells import GRPC, HTTP, OURS, REGION, Cell, Limit, Standing


@dataclass(frozen=True)
class Row:
    """A line under one pressure, over all rounds; milliseconds. `reason` where no round could be measured."""

    workload: str
    in_flight: int
    line: str
    rate: float = 0.0  # answers per second: median, and its range
    lowest: float = 0.0
    highest: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    efficiency: float = 0.0  # rate / rate of raw ONNX Runtime beside it
    alone: float = 0.0  # p50 / that of raw ONNX Runtime over all cores; only where one is in flight
    reason: str = ""


@dataclass(frozen=True)
class Reference:
    """Raw ONNX Runtime, over all rounds."""

    workload: str
    rate: float
    alone_ms: float


@dataclass(frozen=True)
class Goal:
    """A figure of one of our lines, and where it should be. `least`: not below the bound, else not above it."""

    what: str
    line: str
    workload: str
    in_flight: int
    figure: Callable[[Row], float]
    bound: float
    least: bool
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """A goal, what was reached (None: not measured, with the reason), and the best of the others."""

    what: str
    bound: float
    least: bool
    unit: str
    reached: float | None
    peer: str = ""
    peer_reached: float | None = None
    reason: str = ""

    @property
    def missed(self) -> bool:
        if self.reached is None:
            return False
        return self.reached < self.bound if self.least else self.reached > self.bound


GOALS = (
    Goal("mobilenet, HTTP, 16 in flight: of raw", HTTP, "mobilenet", 16, lambda row: row.efficiency, 0.82, least=True),
    Goal("mobilenet, gRPC, 16 in flight: of raw", GRPC, "mobilenet", 16, lambda row: row.efficiency, 0.74, least=True),
    Goal(
        "mobilenet, shared memory, 16 in flight: of raw",
        REGION,
        "mobilenet",
        16,
        lambda row: row.efficiency,
        0.92,
        least=True,
    ),
    Goal("resnet50, HTTP, 16 in flight: of raw", HTTP, "resnet50", 16, lambda row: row.efficiency, 0.97, least=True),
    Goal("resnet50, gRPC, 16 in flight: of raw", GRPC, "resnet50", 16, lambda row: row.efficiency, 0.97, least=True),
    Goal("tiny, HTTP, 16 in flight", HTTP, "tiny", 16, lambda row: row.rate, 12_000, least=True, unit="/s"),
    Goal("tiny, gRPC, 16 in flight", GRPC, "tiny", 16, lambda row: row.rate, 5_000, least=True, unit="/s"),
    Goal("tiny, HTTP, alone: p50", HTTP, "tiny", 1, lambda row: row.p50_ms, 0.2, least=False, unit=" ms"),
    Goal(
        "resnet50, HTTP, alone: p50 of raw on all cores",
        HTTP,
        "resnet50",
        1,
        lambda row: row.alone,
        1.1,
        least=False,
    ),
)
IDLE_CORES, READY_SECONDS = 0.02, 2.0


def rows(cells: Iterable[Cell]) -> list[Row]:
    """One for each line under each pressure, in the order they were first asked."""
    by_key: dict[tuple[str, int, str], list[Cell]] = {}
    for cell in cells:
        by_key.setdefault(cell.key, []).append(cell)
    return [_row(*key, found) for key, found in by_key.items()]


def _row(workload: str, in_flight: int, line: str, cells: Sequence[Cell]) -> Row:
    there = [(cell.measured, cell.limit) for cell in cells if cell.measured is not None]
    if not there:
        return Row(workload, in_flight, line, reason=next(cell.reason for cell in cells))
    rates = [measured.rate for measured, _ in there]
    return Row(
        workload,
        in_flight,
        line,
        rate=statistics.median(rates),
        lowest=min(rates),
        highest=max(rates),
        p50_ms=1000 * statistics.median(measured.p50 for measured, _ in there),
        p99_ms=1000 * statistics.median(measured.p99 for measured, _ in there),
        efficiency=statistics.median(measured.rate / limit.rate for measured, limit in there),
        alone=statistics.median(measured.p50 / limit.alone if limit.alone else 0.0 for measured, limit in there),
    )


def references(cells: Iterable[Cell]) -> list[Reference]:
    """One for each workload, in the order they were first asked."""
    by_workload: dict[str, list[Limit]] = {}
    for cell in cells:
        by_workload.setdefault(cell.limit.workload, []).append(cell.limit)
    return [_reference(workload, limits) for workload, limits in by_workload.items()]


def _reference(workload: str, limits: Iterable[Limit]) -> Reference:
    rates, alone = [each.rate for each in limits], [each.alone for each in limits if each.alone]
    return Reference(workload, statistics.median(rates), 1000 * statistics.median(alone or [0.0]))


def verdicts(found: Sequence[Row], standings: Iterable[Standing]) -> list[Verdict]:
    """Of all goals whose cells were asked for, and of the server itself."""
    asked = {(row.workload, row.in_flight) for row in found}
    told = [_verdict(goal, found) for goal in GOALS if (goal.workload, goal.in_flight) in asked]
    return [*told, *_of_servers(list(standings))]


def _verdict(goal: Goal, found: Sequence[Row]) -> Verdict:
    beside = [row for row in found if (row.workload, row.in_flight) == (goal.workload, goal.in_flight)]
    ours = next((row for row in beside if row.line == goal.line), None)
    peers = [row for row in beside if not row.line.startswith(OURS) and not row.reason]
    best = (max if goal.least else min)(peers, key=goal.figure, default=None)
    reached = goal.figure(ours) if ours and not ours.reason else None
    reason = ours.reason if ours else "this server offers no such way"
    peer, peer_reached = (best.line, goal.figure(best)) if best else ("", None)
    return Verdict(goal.what, goal.bound, goal.least, goal.unit, reached, peer, peer_reached, reason)


def _of_servers(standings: Sequence[Standing]) -> list[Verdict]:
    ours = next(each for each in standings if each.name == OURS)
    there = [each for each in standings if each.name != OURS and not each.reason]
    return [
        _of_server("idle", IDLE_CORES, " cores", ours, there, lambda each: each.idle_cores),
        _of_server("ready, all models answering", READY_SECONDS, " s", ours, there, lambda each: each.ready_seconds),
    ]


def _of_server(
    what: str,
    bound: float,
    unit: str,
    ours: Standing,
    others: Sequence[Standing],
    figure: Callable[[Standing], float],
) -> Verdict:
    best = min(others, key=figure, default=None)
    reached = None if ours.reason else figure(ours)
    peer, peer_reached = (best.name, figure(best)) if best else ("", None)
    return Verdict(what, bound, False, unit, reached, peer, peer_reached, ours.reason)
