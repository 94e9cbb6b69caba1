"""HTTP bodies of history."""

from __future__ import annotations

from pydantic import Field

from controlplane.history.domain import METRICS
from controlplane.history.service import Answer as Found
from controlplane.history.service import Question
from controlplane.schemas import Answer
from controlplane.shape import moment


class SeriesAnswer(Answer):
    name: str = Field(description="of the node, camera or deployment; empty: of all")
    points: list[tuple[str, float | None]] = Field(description="start of a step, value; null: nothing was there")


class TelemetryAnswer(Answer):
    metric: str
    aggregate: str
    unit: str
    by: str
    since: str
    until: str
    step_seconds: float
    level: str = Field(description="what it was added up from: raw, minute or hour")
    series: list[SeriesAnswer]


class MetricAnswer(Answer):
    name: str
    unit: str
    aggregates: list[str] = Field(description="the first is the usual one; pNN stands for any percentile")


class MetricList(Answer):
    items: list[MetricAnswer]


def telemetry(question: Question, found: Found) -> TelemetryAnswer:
    return TelemetryAnswer(
        metric=question.metric.name,
        aggregate=question.aggregate,
        unit="share" if question.aggregate == "share" else question.metric.unit,
        by=question.by,
        since=moment(question.span.since_ms),
        until=moment(question.span.until_ms),
        step_seconds=question.span.step_ms / 1000,
        level=found.level,
        series=[
            SeriesAnswer(name=each.whose, points=[(moment(at), value) for at, value in each.points])
            for each in found.series
        ],
    )


def metrics() -> MetricList:
    items = [
        MetricAnswer(name=each.name, unit=each.unit, aggregates=list(each.aggregates)) for each in METRICS.values()
    ]
    return MetricList(items=items)
