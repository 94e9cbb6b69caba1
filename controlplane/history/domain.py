"""What can be asked of telemetry: metrics, how each is put together over a step, and by whom. Pure.

Frames, bytes and stages add up. Latencies are read off histograms that add up, so a percentile over any step is one of
all its frames. What boxes spend is a mean and extremes; figures of an outbox are as told last in the step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controlplane.insights.domain import Latencies, Sums
from controlplane.rollups.domain import BOX, CLOUD, DECIDED, FRAMES, STAGES, Stat
from protos.errors import Rejected
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome, Stage

MOST_ROWS = 500_000  # minutes or hours that one answer may add up
MOST_POINTS = 50_000  # of one answer
POINTS = 120  # of a series, where nobody names a step
_MICRO = 1e6
_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_STEPS = (
    *(_SECOND, 10 * _SECOND, 30 * _SECOND, _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY),
)
_ANSWERED = (*BOX, "box_us", *CLOUD, "cloud_us")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?)")


class By(StrEnum):
    """Whose points make one series."""

    ALL = "all"
    NODE = "node"
    CAMERA = "camera"
    DEPLOYMENT = "deployment"


OfFrames = Callable[[Sums, str, float], float | None]
OfBoxes = Callable[[Stat, str], float]


@dataclass(frozen=True)
class Metric:
    """One of `frames` and `boxes`. A percentile goes by the name of `p95`, where `aggregates` has `pNN`."""

    name: str
    unit: str
    aggregates: tuple[str, ...]  # the first is the usual one
    frames: OfFrames | None = None
    columns: tuple[str, ...] = ()  # of roll-ups, that `frames` reads: of a fleet the others are most of the work
    boxes: OfBoxes | None = None


def _added(count: Callable[[Sums], float]) -> OfFrames:
    def value(sums: Sums, aggregate: str, seconds: float) -> float | None:
        if aggregate == "share":
            return count(sums) / sums.due if sums.due else None
        return count(sums) / seconds if aggregate == "rate" else count(sums)

    return value


def _latency(sums: Sums, aggregate: str, _seconds: float) -> float | None:
    told = sums.answers
    if not told.answered:
        return None
    if aggregate == "mean":
        return told.seconds / told.answered
    if aggregate == "max":
        last = max(number for number, frames in enumerate(told.frames) if frames)
        return LATENCY_BOUNDS_MS[min(last, len(LATENCY_BOUNDS_MS) - 1)] / 1000
    return told.percentile(share(aggregate))


def _stage(stage: Stage) -> OfFrames:
    def value(sums: Sums, aggregate: str, _seconds: float) -> float | None:
        spent, answered = sums.stages.get(stage, 0.0), sums.answers.answered
        if aggregate == "sum":
            return spent
        return spent / answered if answered else None

    return value


def _box(mean: Callable[[Stat], float], largest: Callable[[Stat], float]) -> OfBoxes:
    return lambda stat, aggregate: largest(stat) if aggregate == "max" else mean(stat)


def _frames(outcome: str) -> Metric:
    return Metric(
        f"frames_{outcome}",
        "frames",
        ("sum", "rate", "share"),
        _added(lambda sums: sums.counts.get(outcome, 0)),
        FRAMES,
    )


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("frames", "frames", ("sum", "rate"), _added(lambda sums: sums.due), FRAMES),
        Metric("frames_in_time", "frames", ("sum", "rate", "share"), _added(lambda sums: sums.in_time), FRAMES),
        *(_frames(outcome.value) for outcome in Outcome),
        Metric("latency_seconds", "seconds", ("p95", "mean", "max", "pNN"), _latency, _ANSWERED),
        Metric("uplink_bytes", "bytes", ("sum", "rate"), _added(lambda sums: sums.uplink_bytes), ("uplink_bytes",)),
        *(
            Metric(
                f"stage_{stage}_seconds", "seconds", ("mean", "sum"), _stage(stage), (STAGES[stage.value], *_ANSWERED)
            )
            for stage in Stage
        ),
        Metric(
            "cpu_cores",
            "cores",
            ("mean", "max"),
            boxes=_box(lambda stat: stat.cpu / stat.samples / _MICRO, lambda stat: stat.cpu_max / _MICRO),
        ),
        Metric(
            "memory_bytes",
            "bytes",
            ("mean", "max"),
            boxes=_box(lambda stat: stat.memory / stat.samples, lambda stat: stat.memory_max),
        ),
        Metric("disk_free_bytes", "bytes", ("min",), boxes=lambda stat, _: stat.disk_free_min),
        Metric("outbox_waiting", "records", ("last",), boxes=lambda stat, _: stat.outbox_waiting),
        Metric("outbox_dropped", "records", ("last",), boxes=lambda stat, _: stat.outbox_dropped),
    )
}


def metric(name: str) -> Metric:
    """Raises Rejected."""
    if name not in METRICS:
        raise Rejected(f"{name[:40]!r} is no metric; there are {', '.join(METRICS)}")
    return METRICS[name]


def aggregate(of: Metric, word: str) -> str:
    """`word`, or the usual one of nothing. Raises Rejected."""
    good = word in of.aggregates or ("pNN" in of.aggregates and _PERCENTILE.fullmatch(word))
    if word and not good:
        raise Rejected(f"{of.name} has no {word[:20]!r}; there are {', '.join(of.aggregates)}")
    return word or of.aggregates[0]


def share(percentile: str) -> float:
    """0.95 of p95."""
    return float(percentile[1:]) / 100


def step_for(length_ms: int) -> int:
    """The shortest of the usual ones that makes at most POINTS of such a span."""
    return next((step for step in _STEPS if length_ms <= step * POINTS), _STEPS[-1])


def sums_of(row: Mapping[str, int | None]) -> Sums:
    """Of columns of roll-ups, added up by whoever read them."""
    told = {name: int(value) for name, value in row.items() if value}
    return Sums(
        {name: told[name] for name in FRAMES if name in told},
        _latencies(told, BOX, "box_us"),
        _latencies(told, CLOUD, "cloud_us"),
        told.get("uplink_bytes", 0),
        {stage: told[name] / _MICRO for stage, name in STAGES.items() if name in told},
        {each: told[name] / _MICRO for each, name in DECIDED.items() if name in told},
    )


def _latencies(told: Mapping[str, int], names: tuple[str, ...], seconds: str) -> Latencies:
    frames = [told.get(name, 0) for name in names]
    while frames and not frames[-1]:
        frames.pop()
    return Latencies(frames, told.get(seconds, 0) / _MICRO)
