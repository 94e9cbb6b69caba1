"""HTTP of the books. Convert, call, convert. `since` is how long ago ("5m") or a moment (RFC 3339)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from controlplane.books import domain, schemas
from controlplane.books.repository import Wanted
from controlplane.identity.access import Current, require_user
from controlplane.insights.domain import moment_ms
from controlplane.insights.matching import place
from controlplane.listing import MOST, Continue
from controlplane.schemas import REFUSALS
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["telemetry"], dependencies=[Depends(require_user)], responses=REFUSALS)

Name = Annotated[str, Query(max_length=63)]
Moment = Annotated[str, Query(max_length=40)]


def wanted(
    services: Current,
    node: Name = "",
    record_class: Annotated[str, Query(alias="class", max_length=16)] = "",
    reason: Annotated[str, Query(max_length=200, description="part of the reason")] = "",
    since: Moment = "30d",
    until: Moment = "",
) -> Wanted:
    now = services.books.now_ms
    first = moment_ms(since, now, "since")
    last = moment_ms(until, now, "until") if until else now + 1
    if last <= first:
        raise Rejected("since must lie before until")
    return Wanted(first, last, node, record_class, reason)


@router.get(
    "/telemetry/books", summary="What all boxes accepted, by class, and where it is; boxes of which something waits"
)
def fleet_books(services: Current) -> schemas.FleetBooksAnswer:
    return schemas.fleet(services.books.fleet())


@router.get(
    "/nodes/{name}/telemetry", summary="What a box accepted, by class, and where it is: stored, dropped, waiting"
)
def node_books(name: str, services: Current) -> schemas.NodeBooksAnswer:
    document = services.fleet.get_node(name)
    kept = services.books.node(name)
    return schemas.books(kept, domain.linked(domain.contact(document["status"]), kept))


@router.get(
    "/nodes/{name}/telemetry/verification",
    summary="Recount what is stored of a box against what was counted; a part at a time",
)
def verification(
    name: str, services: Current, after: Annotated[str, Query(alias="continue", max_length=64)] = ""
) -> schemas.VerificationAnswer:
    services.fleet.get_node(name)
    return schemas.verification(services.books.verify(name, after))


@router.get("/gaps", summary="Telemetry that boxes declared dropped, one Gap after another, newest first")
def gap_records(
    services: Current,
    asked: Annotated[Wanted, Depends(wanted)],
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    after: Continue = "",
) -> schemas.GapRecordList:
    return schemas.gaps(services.books.gaps(asked, limit, place(after)))


@router.get("/conflicts", summary="More than one box under one name, newest first")
def conflicts(services: Current, node: Name = "") -> schemas.ConflictList:
    return schemas.conflicts(services.books.conflicts(node))
