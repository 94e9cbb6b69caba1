"""HTTP bodies of signed metadata."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from controlplane.listing import WholeList
from controlplane.schemas import Answer, Body
from controlplane.shape import moment
from controlplane.signing.documents import RELEASE
from controlplane.trust.ports import PublicKey
from controlplane.trust.service import Role
from protos import trust

# Without a constraint, half of a surrogate pair would pass for a string, and be no UTF-8.
RoleName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(min_length=1)]


class NewDocuments(Body):
    documents: dict[RoleName, Text] = Field(min_length=1, description="by role, each the very text that was signed")
    withdraw: list[str] = Field(default_factory=list, description="releases, NAME@VERSION, that may be listed no more")


class RoleAnswer(Answer):
    role: str
    version: int
    threshold: int
    keys: list[str] = Field(description="ids of those that may sign it")
    signed_by: list[str]
    held: str = Field(description="offline, release or online; missing: online, and this control plane lacks the key")
    created: str
    expires: str


class MetadataList(WholeList):
    items: list[RoleAnswer]


class TakenAnswer(Answer):
    roles: list[str] = Field(description="that were new")


class OnlineKeyAnswer(Answer):
    id: str
    key: dict[str, object]


def role(found: Role) -> RoleAnswer:
    document = found.document
    return RoleAnswer(
        role=document.role,
        version=document.version,
        threshold=document.threshold,
        keys=list(found.keys),
        signed_by=sorted(document.signed_by),
        held=_held(found),
        created=moment(found.created_ms),
        expires=moment(document.expires * 1000),
    )


def _held(found: Role) -> str:
    if found.document.role in trust.ONLINE:
        return "online" if found.held else "missing"
    return "offline" if found.document.role in (trust.ROOT, trust.TARGETS) else RELEASE


def online_key(made: PublicKey) -> OnlineKeyAnswer:
    return OnlineKeyAnswer(id=made.id, key=dict(made.fields))
