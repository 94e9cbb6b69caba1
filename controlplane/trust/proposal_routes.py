"""HTTP of proposals: what waits for signatures, and signatures. Convert, call, convert."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from controlplane.container import Services
from controlplane.identity.access import Current, require_user
from controlplane.identity.service import User
from controlplane.schemas import REFUSALS
from controlplane.trust import proposal_schemas as schemas
from controlplane.trust import uploads
from controlplane.trust.proposals import PUBLISHED, Proposal

router = APIRouter(prefix="/api/v1/proposals", tags=["trust"], responses=REFUSALS)
Somebody = Annotated[User, Depends(require_user)]
Name = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.get("", dependencies=[Depends(require_user)], summary="Documents that wait for signatures")
def list_proposals(services: Current) -> schemas.ProposalList:
    return schemas.ProposalList(items=[schemas.proposal(each) for each in services.proposals.pending()])


@router.get("/{name}", dependencies=[Depends(require_user)], summary="One of them, while it waits")
def get_proposal(name: Name, services: Current) -> schemas.ProposalAnswer:
    return schemas.proposal(services.proposals.one(name))


@router.post(
    "",
    status_code=201,
    openapi_extra=uploads.described(schemas.NewProposal),
    summary="Documents that their proposer signed, for others to sign",
)
async def propose(request: Request, response: Response, services: Current, user: Somebody) -> schemas.ProposalAnswer:
    """Its body is read once it is known who sends it, since it may be longer than others."""
    content = await uploads.received(request)
    answer, new = await run_in_threadpool(_propose, services, user, content)
    response.status_code = 201 if new else 200
    response.headers["Longshore-Change"] = "created" if new else "unchanged"
    response.headers["Location"] = f"/api/v1/proposals/{answer.id}"
    return answer


def _propose(services: Services, user: User, content: bytes) -> tuple[schemas.ProposalAnswer, bool]:
    """And whether it is new."""
    body = uploads.read(schemas.NewProposal, content)
    documents = {role: text.encode() for role, text in body.documents.items()}
    withdrawn = frozenset(map(uploads.release_path, body.withdraw))
    found, new = services.proposals.propose(documents, withdrawn, user.who)
    return _told(found, services, user), new


@router.post("/{name}/sign", summary="Signatures of one more holder; the last that is needed publishes")
def sign_proposal(name: Name, body: schemas.NewSignatures, services: Current, user: Somebody) -> schemas.ProposalAnswer:
    return _told(services.proposals.sign(name, body.signatures, user.who), services, user)


@router.delete("/{name}", status_code=204, summary="Nobody shall sign it any more; it never comes back")
def cancel_proposal(name: Name, services: Current, user: Somebody) -> None:
    services.proposals.cancel(name, user.who)


def _told(found: Proposal, services: Services, user: User) -> schemas.ProposalAnswer:
    """What was published is news to boxes, and a change of its own in the audit."""
    if found.state == PUBLISHED:
        services.boxes.refresh()
        services.audit.record(user, "publish", f"metadata/{','.join(sorted(found.documents))}")
    return schemas.proposal(found)
