"""HTTP bodies of identity."""

from __future__ import annotations

from pydantic import Base64Bytes, ConfigDict, Field
from pydantic.alias_generators import to_camel

from controlplane import tables
from controlplane.identity.domain import StoredToken
from controlplane.listing import WholeList
from controlplane.schemas import Answer, Body
from controlplane.shape import moment
from controlplane.trust.ports import Issued


class WhoAmI(Answer):
    who: str
    via: str  # the API token's name, or "browser"
    role: str


class NewJoinToken(Body):
    node_id: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    role: str = "edge"
    ttl: str | None = None  # "10m", "1h"; default: the server's


class CreatedJoinToken(Answer):
    token: str  # shown once
    id: str
    expires: str
    url: str  # what to give to `longshore-agent join`


class JoinTokenAnswer(Answer):
    id: str
    node_id: str | None
    labels: dict[str, str]
    role: str
    expires: str
    used: str | None
    used_by: str | None


class JoinTokenList(WholeList):
    items: list[JoinTokenAnswer]


class BoxBody(Body):
    """A message of protos.fleet in JSON; a newer box may say more."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Enroll(BoxBody):
    """EnrollRequest."""

    token: str
    csr_pem: str
    node_id: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    role: str = ""
    agent_version: str = ""
    host_name: str = ""


class LateRenew(BoxBody):
    """LateRenewRequest."""

    certificate_pem: str
    csr_pem: str
    proof: Base64Bytes


class CertificateAnswer(Answer):
    """protos.fleet Certificate in JSON."""

    certificate_pem: str
    ca_pem: str
    not_after_unix_ms: str  # 64-bit numbers are strings in protobuf's JSON


class Enrolled(Answer):
    """protos.fleet EnrollResponse in JSON."""

    node_id: str
    certificate: CertificateAnswer
    fleet_address: str
    role: str
    root: str = Field(description="root metadata to trust first, in base64")


class NewApiToken(Body):
    name: str
    person: str | None = None  # whose; None: a service's
    role: str = "viewer"  # of a service's token; a person's has that person's
    ttl: str | None = None  # default: until it is deleted


class CreatedApiToken(Answer):
    token: str  # shown once
    id: str
    expires: str | None


class ApiTokenAnswer(Answer):
    id: str
    name: str
    person: str | None
    role: str | None  # None: whatever the person has
    created: str
    expires: str | None
    last_used: str | None


class ApiTokenList(WholeList):
    items: list[ApiTokenAnswer]


class SignInLink(Answer):
    code: str
    url: str
    expires: str


def certificate(issued: Issued, ca_pem: str) -> CertificateAnswer:
    return CertificateAnswer(certificate_pem=issued.pem, ca_pem=ca_pem, not_after_unix_ms=str(issued.not_after_ms))


def join_token(token: StoredToken) -> JoinTokenAnswer:
    return JoinTokenAnswer(
        id=token.id,
        node_id=token.node,
        labels=dict(token.labels),
        role=token.role,
        expires=moment(token.expires_ms),
        used=optional_moment(token.used_ms),
        used_by=token.used_by,
    )


def api_token(row: tables.ApiToken) -> ApiTokenAnswer:
    return ApiTokenAnswer(
        id=row.id,
        name=row.name,
        person=row.person,
        role=row.role if row.person is None else None,
        created=moment(row.created_ms),
        expires=optional_moment(row.expires_ms),
        last_used=optional_moment(row.last_used_ms),
    )


def optional_moment(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else moment(unix_ms)
