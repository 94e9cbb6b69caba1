"""Outcome counts summed up, over spans of time and by camera, deployment or box. Pure.

Counts, bytes and latencies add up exactly. A window tells its latencies as frames by bucket (LATENCY_BOUNDS_MS of
`protos.outcomes`); a percentile is read off the sum, by interpolation within its bucket, so it is one of all frames
asked about and off by no more than that bucket is wide, about a quarter of its value. Where a frame ran is told by who
answered it; a frame that nobody answered ran nowhere. Times are those of the control plane's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Protocol, TypeVar

from controlplane.fleet.quantities import duration_ms
from protos.errors import Rejected
from protos.outcomes import IN_TIME, LATENCY_BOUNDS_MS, Outcome

MAX_BUCKETS = 2_000
Item = TypeVar("Item")
Key = TypeVar("Key", bound="str | tuple[str, ...]")
Added = TypeVar("Added", bound="Summable")


@dataclass(frozen=True)
class Latencies:
    """How long answered frames took, capture to answer: how many by bucket, and the sum in seconds."""

    frames: Sequence[int] = ()  # by LATENCY_BOUNDS_MS; zeros at the end may be missing
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        return sum(self.frames)

    def plus(self, other: Latencies) -> Latencies:
        if not self.frames or not other.frames:
            return self if self.frames else other
        both = zip_longest(self.frames, other.frames, fillvalue=0)
        return Latencies([one + another for one, another in both], self.seconds + other.seconds)

    def percentile(self, share: float) -> float:
        """Seconds that `share` of the frames stayed within; the last bound for all beyond it, 0 without a frame."""
        wanted, reached, lower = share * self.answered, 0.0, 0.0
        if not wanted:
            return 0.0
        for bound, within in zip(LATENCY_BOUNDS_MS, self.frames, strict=False):
            if within and reached + within >= wanted:
                return (lower + (bound - lower) * (wanted - reached) / within) / 1000
            reached, lower = reached + within, bound
        return LATENCY_BOUNDS_MS[-1] / 1000


class Summable(Protocol):
    """A window, or a sum of some."""

    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def box(self) -> Latencies: ...
    @property
    def cloud(self) -> Latencies: ...
    @property
    def uplink_bytes(self) -> int: ...
    @property
    def stages(self) -> Mapping[str, float]: ...
    @property
    def decided(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Counts:
    """How the frames due in [start, end) ended, of whatever camera."""

    start_ms: int
    end_ms: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Window(Counts):
    """One stored OutcomeCounts. `box` and `cloud`: of frames that these answered, in time or late."""

    node: str
    camera: str
    deployment: str
    box: Latencies
    cloud: Latencies
    uplink_bytes: int
    stages: Mapping[str, float] = field(default_factory=dict)  # protos.outcomes.Stage -> seconds of answered frames
    decided: Mapping[str, float] = field(default_factory=dict)  # protos.decided.Decided -> sum
    rung_why: str = ""


@dataclass(frozen=True)
class Sums:
    """Of some windows."""

    counts: Mapping[str, int] = field(default_factory=dict)
    box: Latencies = Latencies()
    cloud: Latencies = Latencies()
    uplink_bytes: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)
    decided: Mapping[str, float] = field(default_factory=dict)

    @property
    def due(self) -> int:
        return sum(self.counts.values())

    @property
    def in_time(self) -> int:
        return sum(frames for outcome, frames in self.counts.items() if outcome in IN_TIME)

    @property
    def looked_at(self) -> int:
        """Frames due but those in which nothing moved: the ones whose answers may come in time, or not."""
        return self.due - self.counts.get(Outcome.STALE_TRACK, 0)

    @property
    def answers(self) -> Latencies:
        """Of the box and the cloud."""
        return self.box.plus(self.cloud)


@dataclass(frozen=True)
class Part(Sums):
    """Sums of one camera's windows for one deployment: few where windows are many, and they add up as windows do."""

    node: str = ""
    camera: str = ""
    deployment: str = ""


@dataclass(frozen=True)
class Lost:
    """Records of one kind that a box dropped for one reason and declared; `at_ms`: when it told so last."""

    node: str
    record_class: str
    reason: str
    records: int
    at_ms: int


@dataclass(frozen=True)
class Bucket:
    """Windows that ended within [start, start + step)."""

    start_ms: int
    sums: Sums


@dataclass(frozen=True)
class Span:
    """[since, until), in steps."""

    since_ms: int
    until_ms: int
    step_ms: int

    @property
    def starts(self) -> range:
        return range(self.since_ms, self.until_ms, self.step_ms)


def sums(items: Iterable[Summable]) -> Sums:
    """In one go: a fleet of hundreds is ten thousand windows a minute."""
    listed = list(items)
    counts: dict[str, int] = {}
    stages: dict[str, float] = {}
    decided: dict[str, float] = {}
    for item in listed:
        for outcome, frames in item.counts.items():
            counts[outcome] = counts.get(outcome, 0) + frames
        for stage, seconds in item.stages.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
        for what, told in item.decided.items():
            decided[what] = decided.get(what, 0.0) + told
    box, cloud = _together([item.box for item in listed]), _together([item.cloud for item in listed])
    return Sums(counts, box, cloud, sum(item.uplink_bytes for item in listed), stages, decided)


def _together(latencies: Iterable[Latencies]) -> Latencies:
    told = [each for each in latencies if each.frames]
    frames = [sum(column) for column in zip_longest(*(each.frames for each in told), fillvalue=0)]
    return Latencies(frames, sum(each.seconds for each in told)) if told else Latencies()


def parts(windows: Iterable[Window]) -> list[Part]:
    """In order of camera, deployment and box."""
    found = gathered(windows, lambda each: (each.camera, each.deployment, each.node))
    return [part(sums(those), node, camera, deployment) for (camera, deployment, node), those in found.items()]


def part(of: Sums, node: str, camera: str, deployment: str) -> Part:
    return Part(**vars(of), node=node, camera=camera, deployment=deployment)


def spread(windows: Iterable[Counts], span: Span) -> list[dict[str, int]]:
    """For each step, frames by outcome in thousandths: a window that lies across an edge counts by its share.

    Spans shorter than a few windows would jump otherwise, by a whole window at a time.
    """
    steps: list[dict[str, int]] = [{} for _ in span.starts]
    for window in windows:
        length = max(1, window.end_ms - window.start_ms)
        at, last = max(window.end_ms - length, span.since_ms), min(window.end_ms, span.until_ms)
        while at < last:
            index = (at - span.since_ms) // span.step_ms
            inside = min(last, span.starts[index] + span.step_ms) - at
            step = steps[index]
            for outcome, frames in window.counts.items():
                step[outcome] = step.get(outcome, 0) + frames * 1000 * inside // length
            at += inside
    return steps


def between(windows: Iterable[Counts], since_ms: int, until_ms: int) -> dict[str, int]:
    """Frames by outcome in [since, until), in thousandths."""
    return spread(windows, Span(since_ms, until_ms, until_ms - since_ms))[0]


def gathered(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items of each key, by key."""
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return {name: found[name] for name in sorted(found)}


def grouped(items: Iterable[Added], key: Callable[[Added], str]) -> dict[str, Sums]:
    return {name: sums(those) for name, those in gathered(items, key).items()}


def buckets(windows: Iterable[Window], span: Span) -> list[Bucket]:
    """One per step, those without a frame included, in order."""
    found: dict[int, list[Window]] = {}
    for window in windows:
        found.setdefault(window.end_ms // span.step_ms * span.step_ms, []).append(window)
    return [Bucket(start, sums(found.get(start, []))) for start in span.starts]


def span(since_ms: int, until_ms: int, step_ms: int) -> Span:
    """Widened to whole steps: both ends lie on multiples of the step. Raises Rejected."""
    if step_ms <= 0:
        raise Rejected('step must be a duration above zero, such as "10s"')
    if until_ms <= since_ms:
        raise Rejected("since must lie before until")
    first, last = since_ms // step_ms * step_ms, -(-until_ms // step_ms) * step_ms
    if (last - first) // step_ms > MAX_BUCKETS:
        raise Rejected(f"that makes more than {MAX_BUCKETS} steps; take a longer step or a later since")
    return Span(first, last, step_ms)


def moment_ms(text: str, now_ms: int, where: str) -> int:
    """`text` as unix milliseconds: how long ago ("5m"), or a moment (RFC 3339). Raises Rejected."""
    if text[:1].isdigit() and text[-1:] in ("s", "m", "h", "d"):
        return now_ms - duration_ms(text, where)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected(
            f'{where} must be how long ago, such as "5m", or a moment such as 2026-11-23T20:00:00Z'
        ) from error
    if parsed.tzinfo is None:
        raise Rejected(f"{where} needs a time zone; write Z behind it for UTC")
    return int(parsed.timestamp() * 1000)
