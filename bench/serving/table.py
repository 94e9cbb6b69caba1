"""The tables that people read; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.serving.cells import Standing
from bench.serving.figures import Reference, Row, Verdict

NAME = 36  # characters


def report(
    standings: Sequence[Standing],
    found: Sequence[Row],
    raw: Iterable[Reference],
    told: Iterable[Verdict],
    *,
    judged: bool,
) -> str:
    """Servers, then each workload, then the goals; these say what was held only where they are `judged`."""
    parts = [servers(standings)]
    parts += [workload(each, [row for row in found if row.workload == each.workload]) for each in raw]
    return "\n\n".join([*parts, goals(told, judged=judged)])


def servers(standings: Iterable[Standing]) -> str:
    lines = [f"{'SERVER':<{NAME}}{'READY':>9}{'IDLE CORES':>12}{'MEMORY':>10}"]
    for each in standings:
        name = f"{each.name} {each.version}".strip()
        if each.reason:
            lines.append(f"{name:<{NAME}} not measured: {each.reason}")
        else:
            lines.append(f"{name:<{NAME}}{each.ready_seconds:>7.1f} s{each.idle_cores:>12.3f}{each.memory_mb:>7.0f} MB")
    return "\n".join(lines)


def workload(raw: Reference, found: Sequence[Row]) -> str:
    """Of raw ONNX Runtime: the share of its rate. Milliseconds: median and 99th percentile."""
    pressures = sorted({row.in_flight for row in found})
    alone = f"; alone on all cores {_milliseconds(raw.alone_ms)} ms" if raw.alone_ms else ""
    lines = [f"{raw.workload}: raw ONNX Runtime {raw.rate:,.0f}/s{alone}"]
    lines.append(f"{'':<{NAME}}" + "".join(f"{f'{pressure} IN FLIGHT':>34}" for pressure in pressures))
    lines.append(f"{'':<{NAME}}" + f"{'answers/s':>12}{'of raw':>8}{'p50/p99 ms':>14}" * len(pressures))
    cells = {(row.line, row.in_flight): row for row in found}
    for name in dict.fromkeys(row.line for row in found):
        row = [cells[name, pressure] for pressure in pressures if (name, pressure) in cells]
        lines.append(f"{name:<{NAME}}" + "".join(map(_cell, row)))
        lines += [f"{'':<4}{reason}" for reason in sorted({each.reason for each in row if each.reason})]
    return "\n".join(lines)


def _cell(row: Row) -> str:
    if row.reason:
        return f"{'not measured':>34}"
    spread = f"{_milliseconds(row.p50_ms)}/{_milliseconds(row.p99_ms)}"
    return f"{row.rate:>12,.0f}{row.efficiency:>8.2f}{spread:>14}"


def goals(told: Iterable[Verdict], *, judged: bool) -> str:
    lines = [f"{'GOAL':<50}{'':>13}{'REACHED':>13}{'':>9}  BEST OF THE OTHERS"]
    for each in told:
        bound = f"{'≥' if each.least else '≤'} {_figure(each.bound)}{each.unit}"
        if each.reached is None:
            lines.append(f"{each.what:<50}{bound:>13}{'-':>13}{'':>9}  not measured: {each.reason}")
            continue
        peer = f"{_figure(each.peer_reached)}{each.unit} {each.peer}" if each.peer_reached is not None else ""
        reached, word = f"{_figure(each.reached)}{each.unit}", _word(each) if judged else ""
        lines.append(f"{each.what:<50}{bound:>13}{reached:>13}{word:>9}  {peer}".rstrip())
    return "\n".join(lines)


def _word(each: Verdict) -> str:
    return "missed" if each.missed else "held"


def others(cores: float) -> str:
    """What to do about other work that took so many cores."""
    return f"Other work took {cores:.1f} cores meanwhile, so no goal is judged: run it again on a quiet machine."


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
