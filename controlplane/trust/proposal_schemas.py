"""HTTP bodies of proposals."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from controlplane.listing import WholeList
from controlplane.schemas import Answer, Body
from controlplane.shape import moment
from controlplane.signing.counting import Need
from controlplane.trust.proposals import Proposal
from controlplane.trust.schemas import RoleName, Text

Hex = Annotated[str, StringConstraints(pattern="^[0-9a-f]{2,4096}$")]
KeyId = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class NewProposal(Body):
    documents: dict[RoleName, Text] = Field(min_length=1, description="by role, each the text so far, with signatures")
    withdraw: list[str] = Field(default_factory=list, description="releases, NAME@VERSION, that may be listed no more")


class NewSignatures(Body):
    signatures: dict[RoleName, dict[KeyId, Hex]] = Field(min_length=1, description="role → id of key → signature")


class NeedAnswer(Answer):
    role: str
    threshold: int
    keys: list[str] = Field(description="ids of those that may sign it")
    signed_by: list[str]


class ProposalAnswer(Answer):
    id: str = Field(description="of what is to be signed: nothing of it can change under this id")
    proposed_by: str
    created: str
    expires: str = Field(description="then it lapses")
    state: str = Field(description="pending or published")
    documents: dict[str, str]
    withdraw: list[str]
    needs: list[NeedAnswer] = Field(description="each of them; a root that changes its own keys wants both")
    changes: list[str] = Field(description="in words, against what is published")
    trouble: str = Field(description="why it can be published no more; empty: it can")


class ProposalList(WholeList):
    items: list[ProposalAnswer]


def proposal(found: Proposal) -> ProposalAnswer:
    return ProposalAnswer(
        id=found.id,
        proposed_by=found.who,
        created=moment(found.created_ms),
        expires=moment(found.expires_ms),
        state=found.state,
        documents={role: content.decode() for role, content in found.documents.items()},
        withdraw=[_name(path) for path in sorted(found.withdrawn)],
        needs=[_need(each) for each in found.needs],
        changes=list(found.changes),
        trouble=found.trouble,
    )


def _need(found: Need) -> NeedAnswer:
    return NeedAnswer(
        role=found.role, threshold=found.threshold, keys=sorted(found.keys), signed_by=sorted(found.signed)
    )


def _name(path: str) -> str:
    """models/harbour/1.0.0 → harbour@1.0.0"""
    return "@".join(path.split("/")[1:])
