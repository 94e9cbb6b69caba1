"""HTTP of history. Convert, call, convert. `since` and `until` are as in insights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from controlplane.fleet.quantities import duration_ms
from controlplane.history import domain, exporting, schemas
from controlplane.history.domain import By
from controlplane.history.exporting import Format, What
from controlplane.history.service import HistoryService, Question, Wish
from controlplane.identity.access import Current, require_user
from controlplane.insights.domain import moment_ms, span
from controlplane.insights.repository import Only
from controlplane.insights.routes import Moment, Name
from controlplane.listing import Selector
from controlplane.rollups.domain import Level
from controlplane.schemas import REFUSALS
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["telemetry"], dependencies=[Depends(require_user)], responses=REFUSALS)
_TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.PARQUET: "application/vnd.apache.parquet"}


def only(services: Current, node: Name = "", camera: Name = "", deployment: Name = "", selector: Selector = "") -> Only:
    """Whose telemetry. A selector chooses boxes by the labels they have now."""
    if not selector:
        return Only(node, camera, deployment)
    chosen = frozenset(item["metadata"]["name"] for item in services.fleet.list_nodes(selector))
    return Only(node, camera, deployment, chosen)


Chosen = Annotated[Only, Depends(only)]


@router.get("/telemetry", summary="A metric over time, put together by steps, from records, minutes or hours")
def telemetry(
    services: Current,
    chosen: Chosen,
    metric: Annotated[str, Query(max_length=60, description="see /api/v1/telemetry/metrics")],
    aggregate: Annotated[str, Query(max_length=20, description="without it the usual one")] = "",
    by: By = By.ALL,
    since: Moment = "1h",
    until: Moment = "0s",
    step: Annotated[str, Query(max_length=20, description="without it one that makes some hundred points")] = "",
) -> schemas.TelemetryAnswer:
    asked = domain.metric(metric)
    first, last = _moments(services.history, since, until)
    step_ms = duration_ms(step, "step") if step else domain.step_for(last - first)
    question = Question(asked, domain.aggregate(asked, aggregate), by, chosen, span(first, last, step_ms))
    return schemas.telemetry(question, services.history.ask(question))


@router.get("/telemetry/metrics", summary="What can be asked for")
def telemetry_metrics() -> schemas.MetricList:
    return schemas.metrics()


@router.get(
    "/telemetry/export",
    summary="Stored telemetry as a file, oldest first, as large as it may be",
    response_class=StreamingResponse,
    responses={200: {"description": "The file", "content": {kind: {} for kind in _TYPES.values()}}},
)
def telemetry_export(
    services: Current,
    chosen: Chosen,
    what: What = What.OUTCOMES,
    level: Level = Level.HOUR,
    form: Annotated[Format, Query(alias="format")] = Format.CSV,
    since: Moment = "30d",
    until: Moment = "0s",
) -> StreamingResponse:
    first, last = _moments(services.history, since, until)
    wish = Wish(what, level, chosen, first - first % level.ms, last)
    shown = exporting.columns(what, level)
    exporting.check(what, camera=chosen.camera, deployment=chosen.deployment)
    headers = {"Content-Disposition": f'attachment; filename="{what}.{form}"', "Cache-Control": "no-store"}
    return StreamingResponse(_written(services.history, wish, form, shown), media_type=_TYPES[form], headers=headers)


def _written(history: HistoryService, wish: Wish, form: Format, shown: tuple[exporting.Column, ...]) -> Iterator[bytes]:
    pages = history.export(wish)
    if form is Format.CSV:
        return exporting.as_csv(pages, shown)
    from controlplane.adapters.parquet import as_parquet  # 30 MB of libraries that nobody else needs

    return as_parquet(pages, shown)


def _moments(history: HistoryService, since: str, until: str) -> tuple[int, int]:
    first, last = moment_ms(since, history.now_ms, "since"), moment_ms(until, history.now_ms, "until")
    if last <= first:
        raise Rejected("since must lie before until")
    return first, last
