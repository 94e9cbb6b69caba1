"""What happened over a span of time, as charts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.insights import domain
from controlplane.insights.domain import Bucket, Span, Sums, Window
from controlplane.ui import figures, outcomes
from controlplane.ui.page import Value
from protos.outcomes import Stage

_DAY_MS = 86_400_000
SPANS = {  # in columns that the steps of telemetry make up: minutes of 3 h, hours of what is longer
    "5m": ("5 min", 300_000, 60),
    "30m": ("30 min", 1_800_000, 60),
    "3h": ("3 h", 10_800_000, 60),
    "1d": ("1 day", _DAY_MS, 24),
    "7d": ("7 days", 7 * _DAY_MS, 56),
    "30d": ("30 days", 30 * _DAY_MS, 60),
    "1y": ("1 year", 366 * _DAY_MS, 61),
}
USUAL = "5m"
PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))

# Where a frame's time went, in the order it goes through them.
STAGES: tuple[tuple[str, str, str], ...] = (
    (Stage.DECODE, "decode", "out of the stream, into the shape the model takes"),
    (Stage.WAIT, "wait", "for the engine, or to be sent"),
    (Stage.INFER, "inference", "on the box"),
    (Stage.ENCODE, "encode", "as a picture for the cloud"),
    (Stage.CLOUD, "cloud", "there, inferred, and back"),
    (Stage.ANSWER, "answer", "from the engine to its outcome"),
)


def length_of(query: str) -> int:
    """Milliseconds of a span by its key; the usual one of any other text."""
    return SPANS.get(query, SPANS[USUAL])[1]


def step_of(query: str) -> int:
    """Of a column, by the key of its span."""
    _, length_ms, columns = SPANS.get(query, SPANS[USUAL])
    return length_ms // columns


def charts(windows: Sequence[Window], span: Span, deadline_ms: int = 0) -> dict[str, Value]:
    """By key under span: how frames ended, and latencies of those answered."""
    buckets = domain.buckets(windows, span)
    return {
        "span.outcomes": outcomes.chart(windows, span.until_ms, span.until_ms - span.since_ms, span.step_ms),
        "span.latency": _latency(buckets, span, deadline_ms),
    }


def long_charts(buckets: Sequence[Bucket], span: Span, deadline_ms: int = 0) -> dict[str, Value]:
    """The same of what is added up already."""
    rates = [
        {outcome: round(1000 * frames / span.step_ms, 1) for outcome, frames in bucket.sums.counts.items()}
        for bucket in buckets
    ]
    return {
        "span.outcomes": {"end": span.until_ms, "step": span.step_ms, "columns": rates},
        "span.latency": _latency(buckets, span, deadline_ms),
    }


def _latency(buckets: Iterable[Bucket], span: Span, deadline_ms: int) -> dict[str, Any]:
    points = [(bucket.start_ms + span.step_ms // 2, bucket.sums.answers) for bucket in buckets]
    lines = {
        name: [[at, round(told.percentile(share) * 1000, 1) if told.answered else None] for at, told in points]
        for name, share in PERCENTILES
    }
    limit = {"limit": deadline_ms} if deadline_ms else {}
    return {"from": span.since_ms, "to": span.until_ms, "time": True, "lines": lines, **limit}


def stages(sums: Sums) -> dict[str, Value]:
    """Where each millisecond went: by key under stages, a bar of shares and the mean of each stage."""
    whole = sum(sums.stages.values())
    answered = sums.answers.answered
    values: dict[str, Value] = {
        "stages.bar": [
            [f"stage-{stage}", round(100 * sums.stages[stage] / whole, 2)]
            for stage, _, _ in STAGES
            if sums.stages.get(stage)
        ],
        "stages.total": figures.milliseconds(whole / answered) if answered else "–",
    }
    for stage, _, _ in STAGES:
        seconds = sums.stages.get(stage, 0.0)
        values[f"stages.{stage}"] = f"{1000 * seconds / answered:.1f}" if answered and seconds else "–"
        values[f"stages.{stage}.share"] = figures.percent(round(1e6 * seconds), round(1e6 * whole))
    return values
