"""HTTP of insights. Convert, call, convert. `since` is how long ago ("5m") or a moment (RFC 3339)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from controlplane.fleet import sources
from controlplane.fleet.quantities import duration_ms
from controlplane.identity.access import Current, require_user
from controlplane.insights import answering, domain, matching, schemas
from controlplane.insights.matching import Wanted
from controlplane.insights.repository import Only
from controlplane.listing import Continue
from controlplane.schemas import REFUSALS
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["insights"], dependencies=[Depends(require_user)], responses=REFUSALS)

Name = Annotated[str, Query(max_length=63)]
Moment = Annotated[str, Query(max_length=40)]
Limit = Annotated[int, Query(ge=1, le=10_000)]


def wanted(
    services: Current,
    node: Name = "",
    camera: Name = "",
    deployment: Name = "",
    label: Annotated[str, Query(max_length=256)] = "",
    zone: Name = "",
    min_score: Annotated[float, Query(alias="minScore", ge=0, le=1)] = 0.0,
    since: Moment = "1h",
    until: Moment = "",
) -> Wanted:
    now = services.insights.now_ms
    first = domain.moment_ms(since, now, "since")
    last = domain.moment_ms(until, now, "until") if until else now + 1  # with what happened in this millisecond
    if last <= first:
        raise Rejected("since must lie before until")
    return Wanted(first, last, node, camera, deployment, label, zone, min_score)


@router.get("/detections", summary="Recorded results, newest first; of them the boxes that match")
def detections(
    services: Current, asked: Annotated[Wanted, Depends(wanted)], limit: Limit = 100, after: Continue = ""
) -> schemas.DetectionList:
    return schemas.detections(services.insights.detections(asked, limit, matching.place(after)))


@router.get("/outcomes", summary="How frames ended: sums, and steps of time")
def outcomes(
    services: Current,
    node: Name = "",
    camera: Name = "",
    deployment: Name = "",
    since: Moment = "5m",
    until: Moment = "0s",
    step: Annotated[str, Query(max_length=20)] = "10s",
) -> schemas.OutcomesAnswer:
    now = services.insights.now_ms
    first, last = domain.moment_ms(since, now, "since"), domain.moment_ms(until, now, "until")
    span = domain.span(first, last, duration_ms(step, "step"))
    return schemas.outcomes(services.insights.outcomes(Only(node, camera, deployment), span))


@router.get(
    "/answering", summary="What answers for which camera: how its frames ended in the last minute, and what is wrong"
)
def answers(services: Current, node: Name = "", camera: Name = "") -> schemas.AnsweringList:
    now = services.insights.now_ms
    windows = services.insights.windows(Only(node, camera, ""), now - answering.SPAN_MS, now + answering.SPAN_MS)
    known = answering.objectives(services.fleet.list_deployments())
    return schemas.answering(answering.answering(domain.parts(windows), known))


@router.get("/nodes/{name}/stats", summary="What a box spends, newest first")
def node_stats(name: str, services: Current, since: Moment = "1h", limit: Limit = 360) -> schemas.NodeStatList:
    services.fleet.get_node(name)
    after = domain.moment_ms(since, services.insights.now_ms, "since")
    rows = services.insights.node_stats(name, after, limit)
    return schemas.NodeStatList(items=[schemas.node_stat(row) for row in rows])


@router.get("/nodes/{name}/gaps", summary="Telemetry a box had to drop within the last day, newest first")
def gaps(name: str, services: Current) -> schemas.GapList:
    services.fleet.get_node(name)
    return schemas.GapList(items=[schemas.gap(each) for each in services.insights.lost(name)])


@router.get("/cameras/{name}/health", summary="How a camera fared, newest first")
def camera_health(name: str, services: Current, since: Moment = "24h", limit: Limit = 100) -> schemas.CameraHealthList:
    services.fleet.get_camera(name)
    after = domain.moment_ms(since, services.insights.now_ms, "since")
    rows = [schemas.camera_health(row) for row in services.insights.camera_history(name, after, limit)]
    # A box quotes its cameras; what it quotes may hold a password.
    return schemas.CameraHealthList(
        items=[row.model_copy(update={"reason": sources.scrubbed(row.reason)}) for row in rows]
    )
