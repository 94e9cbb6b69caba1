"""How frames ended, as pages show it: bars, charts, shares and percentiles, from windows of outcomes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from controlplane.insights import domain
from controlplane.insights.domain import Counts, Part, Span, Sums, Window
from controlplane.ui import figures
from controlplane.ui.page import Value
from protos.outcomes import WORDS, Outcome

RATE_MS = 10_000  # rates are of this span
SHARE_MS = 60_000  # shares and latencies of this one
CHART_MS = 300_000
STEP_MS = 5_000
SETTLE_MS = 3_000  # windows last two seconds and take a moment to come: the newest span is not complete yet

# In this order everywhere: what went well first, what was given up after it, what failed last.
LEGEND: tuple[tuple[Outcome, str, str], ...] = (
    (Outcome.OK_LOCAL, WORDS[Outcome.OK_LOCAL], "answered on the box by the deadline"),
    (Outcome.OK_CLOUD, WORDS[Outcome.OK_CLOUD], "answered by a cloud node by the deadline"),
    (Outcome.OK_HEDGE, WORDS[Outcome.OK_HEDGE], "sent up and run locally too; the local answer came first"),
    (Outcome.STALE_TRACK, WORDS[Outcome.STALE_TRACK], "nothing moved in it: it has the answer of the frame before"),
    (Outcome.SUPERSEDED, WORDS[Outcome.SUPERSEDED], "a newer frame of the same camera took its place"),
    (Outcome.SHED, WORDS[Outcome.SHED], "given up on purpose: it could not have met its deadline"),
    (Outcome.EXPIRED, WORDS[Outcome.EXPIRED], "its deadline passed first"),
    (Outcome.CLOUD_LATE, WORDS[Outcome.CLOUD_LATE], "sent to the cloud, no answer by the deadline"),
    (Outcome.ERROR, WORDS[Outcome.ERROR], "a worker, model or wire failed it"),
)


@dataclass(frozen=True)
class Recent:
    """Windows of SHARE_MS, asked about the last moments."""

    windows: Sequence[Window]
    now_ms: int
    known: Sequence[Part] | None = None  # of the windows, where they are summed up already

    @cached_property
    def parts(self) -> Sequence[Part]:
        return domain.parts(self.windows) if self.known is None else self.known

    def by(self, key: Callable[[Window | Part], str]) -> Callable[[str], Recent]:
        """What gives the windows of one camera, box or deployment."""
        windows, parts = domain.gathered(self.windows, key), domain.gathered(self.parts, key)
        return lambda name: Recent(windows.get(name, ()), self.now_ms, parts.get(name, ()))

    def sums(self) -> Sums:
        return domain.sums(self.parts)

    def per_second(self) -> float:
        """Frames due, over RATE_MS."""
        return sum(domain.between(self.windows, *self._rated()).values()) / RATE_MS

    def uplink(self) -> float:
        """Bits a second over RATE_MS."""
        since, until = self._rated()
        sent = sum(window.uplink_bytes for window in self.windows if since <= window.end_ms < until)
        return sent * 8 * 1000 / RATE_MS

    def _rated(self) -> tuple[int, int]:
        return self.now_ms - RATE_MS - SETTLE_MS, self.now_ms - SETTLE_MS


def overall(prefix: str, recent: Recent) -> dict[str, Value]:
    """The five figures that stand on top of a page."""
    total = recent.sums()
    return {
        f"{prefix}.rate": figures.rate(recent.per_second()),
        f"{prefix}.inTime": figures.percent(total.in_time, total.looked_at),
        f"{prefix}.verdict": verdict(total),
        f"{prefix}.p50": latency(total, 0.5),
        f"{prefix}.p95": latency(total, 0.95),
        f"{prefix}.uplink": figures.bit_rate(recent.uplink()),
        f"{prefix}.bar": bar(total),
        **where(prefix, total),
    }


def bar(sums: Sums) -> list[list[Any]]:
    """Outcome and share of a hundred, in the order of the legend, without the empty ones."""
    due = sums.due
    return [[each.value, round(100 * sums.counts[each] / due, 2)] for each, _, _ in LEGEND if sums.counts.get(each)]


def chart_end(now_ms: int, step_ms: int = STEP_MS) -> int:
    """Until when a chart can be drawn: the end of the newest step that is complete."""
    return (now_ms - SETTLE_MS) // step_ms * step_ms


def chart(windows: Iterable[Counts], end_ms: int, length_ms: int = CHART_MS, step_ms: int = STEP_MS) -> dict[str, Any]:
    """Columns of the last minutes: frames a second by outcome for each step, and when the last one ends."""
    steps = domain.spread(windows, Span(end_ms - length_ms, end_ms, step_ms))
    columns = [{outcome: round(count / step_ms, 1) for outcome, count in step.items()} for step in steps]
    return {"end": end_ms, "step": step_ms, "columns": columns}


def drawn_on(before: Mapping[str, Any], newest: Mapping[str, Any]) -> dict[str, Any]:
    """`before` moved on to where `newest`, a shorter chart of the same steps, ends, with the columns of that."""
    count, passed = len(before["columns"]), (newest["end"] - before["end"]) // newest["step"]
    kept = [*before["columns"][passed:], *[{}] * passed]
    return {**newest, "columns": [*kept[: count - len(newest["columns"])], *newest["columns"]]}


def verdict(total: Sums) -> str:
    """A word for the share in time, for colour."""
    if not total.looked_at:
        return "none"
    share = total.in_time / total.looked_at
    return "well" if share >= 0.98 else "attention" if share >= 0.9 else "bad"


def latency(sums: Sums, share: float) -> str:
    """From capture to answer, of the frames that were answered."""
    return figures.milliseconds(sums.answers.percentile(share))


def in_cloud(sums: Sums) -> str:
    """Where inference ran, of the frames that were answered."""
    return figures.percent(sums.cloud.answered, sums.answers.answered)


def where(prefix: str, sums: Sums) -> dict[str, Value]:
    answered = sums.answers.answered
    return {
        f"{prefix}.onBox": figures.percent(sums.box.answered, answered),
        f"{prefix}.inCloud": in_cloud(sums),
        f"{prefix}.cloudShare": round(100 * sums.cloud.answered / answered, 2) if answered else 0,
    }
