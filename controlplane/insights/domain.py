"""Outcome counts summed up, over spans of time and by camera, deployment or box. Pure.

Counts and bytes add up exactly. Percentiles of windows do not: what is given over many windows is the median, weighted
by answered frames, of their percentiles, so "p95" is the p95 of a typical window of two seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.fleet.quantities import duration_ms
from protos.errors import Rejected
from protos.outcomes import IN_TIME, Outcome

BY_CLOUD = frozenset({Outcome.OK_CLOUD})
ANSWERED = frozenset({*IN_TIME, Outcome.STALE_TRACK, Outcome.EXPIRED})
MAX_BUCKETS = 2_000


@dataclass(frozen=True)
class Window:
    """One stored OutcomeCounts."""

    node: str
    camera: str
    deployment: str
    start_ms: int
    end_ms: int
    counts: Mapping[str, int]
    p50: float  # seconds
    p95: float
    uplink_bytes: int

    @property
    def answered(self) -> int:
        return sum(frames for outcome, frames in self.counts.items() if outcome in ANSWERED)


@dataclass(frozen=True)
class Sums:
    """Of some windows."""

    counts: Mapping[str, int] = field(default_factory=dict)
    p50: float = 0.0
    p95: float = 0.0
    uplink_bytes: int = 0

    @property
    def due(self) -> int:
        return sum(self.counts.values())

    @property
    def in_time(self) -> int:
        return sum(frames for outcome, frames in self.counts.items() if outcome in IN_TIME)

    @property
    def by_cloud(self) -> int:
        """Frames that were sent up and not answered here first."""
        return sum(frames for outcome, frames in self.counts.items() if outcome in BY_CLOUD)


@dataclass(frozen=True)
class Bucket:
    """Windows that ended within [start, start + step)."""

    start_ms: int
    sums: Sums


@dataclass(frozen=True)
class Span:
    """[since, until), in steps; both ends lie on multiples of the step."""

    since_ms: int
    until_ms: int
    step_ms: int


def sums(windows: Iterable[Window]) -> Sums:
    given = list(windows)
    counts: Counter[str] = Counter()
    for window in given:
        counts.update(window.counts)
    return Sums(
        counts=dict(counts),
        p50=weighted_median([(window.p50, window.answered) for window in given]),
        p95=weighted_median([(window.p95, window.answered) for window in given]),
        uplink_bytes=sum(window.uplink_bytes for window in given),
    )


def between(windows: Iterable[Window], since_ms: int, until_ms: int) -> Counter[str]:
    """Frames by outcome in [since, until), in thousandths: a window that lies across an edge counts by its share.

    Spans shorter than a few windows would jump otherwise, by a whole window at a time.
    """
    found: Counter[str] = Counter()
    for window in windows:
        length = max(1, window.end_ms - window.start_ms)
        inside = min(window.end_ms, until_ms) - max(window.start_ms, since_ms)
        if inside > 0:
            found.update({outcome: frames * 1000 * inside // length for outcome, frames in window.counts.items()})
    return found


def grouped(windows: Iterable[Window], key: Callable[[Window], str]) -> dict[str, Sums]:
    found: dict[str, list[Window]] = {}
    for window in windows:
        found.setdefault(key(window), []).append(window)
    return {name: sums(found[name]) for name in sorted(found)}


def buckets(windows: Iterable[Window], span: Span) -> list[Bucket]:
    """One per step, those without a frame included, in order."""
    found: dict[int, list[Window]] = {}
    for window in windows:
        found.setdefault(window.end_ms // span.step_ms * span.step_ms, []).append(window)
    starts = range(span.since_ms, span.until_ms, span.step_ms)
    return [Bucket(start, sums(found.get(start, []))) for start in starts]


def span(since_ms: int, until_ms: int, step_ms: int) -> Span:
    """Widened to whole steps. Raises Rejected."""
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
    if text[:1].isdigit() and text[-1:] in ("s", "m", "h"):
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


def weighted_median(values: list[tuple[float, int]]) -> float:
    """The value at which half of the weight is reached; 0 without weight."""
    half, reached = sum(weight for _, weight in values) / 2, 0
    for value, weight in sorted(values):
        reached += weight
        if weight and reached >= half:
            return value
    return 0.0
