"""The decision's figures for people: each contender in the calibration scenario, our lane in each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bench.decision.goals import Means, over_static
from bench.decision.scenarios import CALIBRATION, SCENARIOS
from bench.decision.study import OURS, Mean

Bounds = Mapping[str, Mapping[str, Mean]]
HEAD = (
    f"{'':22} {'useful':>7} {'of optimum':>20} {'on time':>8} {'late':>6} {'p50':>5} {'p95':>5} {'p99':>5} {'p99.9':>6}"
    f" {'age':>5} {'Jain':>5} {'Mbit/s':>7} {'minute':>7} {'J':>6} {'USD/day':>8} {'decide':>7}"
)
UNITS = (
    f"{'':22} {'%':>7} {'% (95 %)':>20} {'%':>8} {'%':>6} {'ms':>5} {'ms':>5} {'ms':>5} {'ms':>6} {'ms':>5} {'':>5}"
    f" {'mean':>7} {'most':>7} {'/frame':>6} {'':>8} {'p99 µs':>7}"
)


def shown(means: Means, bounds: Bounds) -> str:
    lines: list[str] = []
    if CALIBRATION.name in means:
        lines += _contenders(CALIBRATION.name, means, bounds)
    others = [name for name in means if name != CALIBRATION.name]
    if others:
        lines += ["", "the agent's lane in the other scenarios", HEAD, UNITS]
        lines += [line(name, means[name][OURS]) for name in others]
    for name in others:
        if len(means[name]) > 1:
            lines += ["", f"{name}: {SCENARIOS[name].says}"]
            lines += [line(who, row) for who, row in means[name].items()]
    gain = over_static(means)
    if gain is not None:
        lines += ["", f"capped at 0.915 Mbit/s against the tuned static threshold: {gain:+.1f} points"]
    return "\n".join(lines)


def _contenders(name: str, means: Means, bounds: Bounds) -> list[str]:
    lines = [f"{name}: {SCENARIOS[name].says}", HEAD, UNITS]
    lines += [line(who, row) for who, row in means[name].items()]
    lines += [f"{of:31} {100 * mean.mean:5.1f}" for of, mean in bounds[name].items()]
    ours = means[name][OURS]
    worst = f"worst seed {100 * ours['of_optimum'].least:.1f} %"
    used = f"{100 * ours['of_optimum_at_used'].mean:.1f} % of the optimum at the uplink really used"
    return [*lines, f"{OURS}: {worst}; {used}"]


def line(who: str, row: Mapping[str, Mean]) -> str:
    of = row["of_optimum"]
    ratio = f"{100 * of.mean:.1f} ({100 * of.low:.1f}–{100 * of.high:.1f})"
    return (
        f"{who:22} {100 * row['useful'].mean:7.1f} {ratio:>20} {100 * row['on_time'].mean:8.1f}"
        f" {100 * row['late'].mean:6.2f} {row['p50_ms'].mean:5.0f} {row['p95_ms'].mean:5.0f} {row['p99_ms'].mean:5.0f}"
        f" {row['p999_ms'].mean:6.0f} {row['age_ms'].mean:5.0f} {row['jain'].mean:5.2f} {row['mbit_s'].mean:7.2f}"
        f" {row['window_mbit_s'].most:7.2f} {row['joules'].mean:6.2f} {row['usd_day'].mean:8.2f}"
        f" {row['decision_us'].mean:7.0f}"
    )
