"""What a recipe tells of itself, line by line, as values: how far it is, what it measured, how long it will take. Pure.

A line is `{"phase", "step", "steps", "epoch", "epochs", "loss", "metrics": {…}}`, each key left out at will. What
cannot be read is skipped, because a line may be cut off by a kill. `step` counts within its phase. A training that goes
on from a checkpoint tells some steps again: the later telling counts.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

TRAIN = "train"  # the phase whose steps the points of a plot stand at
MOST_METRICS = 16  # of one Run
MOST_NAME = 64  # characters of a phase or metric
PACE_SECONDS = 120.0  # the rate is that of the last two minutes
LEAST_PACE_SECONDS = 3.0
MOST_LINE = 1 << 16

Point = tuple[int, float]  # step, value


@dataclass(frozen=True)
class Progress:
    """The newest of everything. None: not told yet."""

    phase: str = ""
    step: int = 0
    steps: int = 0  # 0: not told
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    ratio: float = 0.0  # of the training, 0 to 1
    seconds_left: float | None = None  # of the phase


def lines(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Objects in whole lines of `content`."""
    for line in content.split(b"\n"):
        if not line.strip() or len(line) > MOST_LINE:
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, Mapping):
            yield found


def whole_lines(content: bytes) -> int:
    """How many bytes of `content` are whole lines."""
    return content.rfind(b"\n") + 1


def left_out(count: int) -> bytes:
    """The line in place of `count` bytes of a log."""
    return (
        f"longshore: {count / 1e6:.1f} MB of the log are left out here; its beginning and its end are kept\n".encode()
    )


def told(before: Progress, found: Iterable[Mapping[str, Any]]) -> Progress:
    """`before`, and what these lines add."""
    for line in found:
        before = _one(before, line)
    return before


def _one(before: Progress, line: Mapping[str, Any]) -> Progress:
    phase = str(line.get("phase") or before.phase or TRAIN)[:MOST_NAME]
    same = phase == before.phase
    step = _whole(line.get("step"))
    steps = _whole(line.get("steps"))
    now = Progress(
        phase=phase,
        step=step if step is not None else before.step if same else 0,
        steps=steps if steps is not None else before.steps if same else 0,
        epoch=_first(_whole(line.get("epoch")), before.epoch),
        epochs=_first(_whole(line.get("epochs")), before.epochs),
        loss=_number(line["loss"]) if line.get("loss") is not None else before.loss,
        metrics=_bounded({**before.metrics, **_metrics(line)}),
        seconds_left=before.seconds_left if same else None,
    )
    return replace(now, ratio=_ratio(before, now))


def _ratio(before: Progress, now: Progress) -> float:
    """Before the training nothing is done of it, behind it all."""
    if now.phase == TRAIN:
        return min(1.0, now.step / now.steps) if now.steps else 0.0
    return 1.0 if before.phase == TRAIN and before.step >= before.steps > 0 else before.ratio


def _metrics(line: Mapping[str, Any]) -> dict[str, float]:
    found = line.get("metrics")
    read = {str(key)[:MOST_NAME]: _number(value) for key, value in found.items()} if isinstance(found, Mapping) else {}
    return {key: value for key, value in read.items() if value is not None}


def _bounded(metrics: dict[str, float]) -> dict[str, float]:
    return dict(list(metrics.items())[:MOST_METRICS])


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else max(0, int(number))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if abs(value) < 1e15 else None


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


# ---- time left ----


class Pace:
    """How fast steps come, from looks at them."""

    def __init__(self) -> None:
        self._phase = ""
        self._seen: deque[tuple[float, int]] = deque()  # monotonic seconds, step

    def seconds_left(self, progress: Progress, now: float) -> float | None:
        """Of the phase; None while too little was seen."""
        if progress.phase != self._phase or (self._seen and progress.step < self._seen[-1][1]):
            self._phase, self._seen = progress.phase, deque()
        if not self._seen or progress.step > self._seen[-1][1]:
            self._seen.append((now, progress.step))
        while len(self._seen) > 2 and now - self._seen[0][0] > PACE_SECONDS:
            self._seen.popleft()
        (began, first), (last, step) = self._seen[0], self._seen[-1]
        if not progress.steps or last - began < LEAST_PACE_SECONDS:
            return None
        left = (progress.steps - step) * (last - began) / (step - first)
        return round(max(0.0, left - (now - last)), 1)


# ---- points of a plot ----


@dataclass(frozen=True)
class Points:
    loss: tuple[Point, ...]
    metrics: Mapping[str, tuple[Point, ...]]
    steps: int  # of the training; 0: not told


def points(found: Iterable[Mapping[str, Any]], most: int) -> Points:
    """Loss and metrics over the steps of the training, each at most `most` points."""
    loss: list[Point] = []
    metrics: dict[str, list[Point]] = {}
    at, steps = 0, 0
    for line in found:
        if line.get("phase", TRAIN) == TRAIN:
            steps = _whole(line.get("steps")) or steps
            step = _whole(line.get("step"))
            if step is not None:
                at = step
                _forget_from(at, loss, metrics)
            value = _number(line.get("loss"))
            if value is not None:
                loss.append((at, value))
        for name, value in _metrics(line).items():
            if name in metrics or len(metrics) < MOST_METRICS:
                metrics.setdefault(name, []).append((at, value))
    return Points(thinned(loss, most), {name: thinned(series, most) for name, series in metrics.items()}, steps)


def _forget_from(step: int, loss: list[Point], metrics: Mapping[str, list[Point]]) -> None:
    """What is told anew replaces what a killed start had told beyond its checkpoint."""
    for series in (loss, *metrics.values()):
        while series and series[-1][0] > step:
            series.pop()


def thinned(series: Sequence[Point], most: int) -> tuple[Point, ...]:
    """At most `most` points: the mean of each stretch at the step where it ends, so that the last step is there."""
    if len(series) <= most:
        return tuple(series)
    edges = [len(series) * number // most for number in range(most + 1)]
    stretches = (series[begin:end] for begin, end in itertools.pairwise(edges))
    return tuple((each[-1][0], sum(value for _, value in each) / len(each)) for each in stretches)
