"""HTTP bodies of people, as OpenAPI shows them, and people as documents."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from controlplane import tables
from controlplane.fields import Fields
from controlplane.fleet import envelope
from controlplane.identity import roles
from controlplane.identity.roles import Role
from controlplane.listing import ListMetadata, WholeList
from controlplane.people.service import Person as Known
from controlplane.schemas import Answer, Metadata
from controlplane.shape import moment, moment_or_never


class PersonSpec(Answer):
    role: Role = Field(description="viewer reads; operator also changes the fleet; admin also people and settings")


class PersonStatus(Answer):
    last_seen: str | None
    sessions: int = Field(description="browsers that are signed in")
    api_tokens: int


class Person(Answer):
    api_version: str
    kind: Literal["Person"]
    metadata: Metadata
    spec: PersonSpec
    status: PersonStatus


class PersonList(Answer):
    api_version: str
    kind: Literal["PersonList"]
    metadata: ListMetadata
    items: list[Person]


class SessionAnswer(Answer):
    id: str
    browser: str  # as it calls itself
    created: str
    last_used: str | None
    expires: str


class SessionList(WholeList):
    items: list[SessionAnswer]


def spec(value: object) -> Role:
    """Raises Rejected."""
    fields = Fields(value, "spec")
    role: Role = fields.need("role", lambda role, _: roles.parsed(role))
    fields.done()
    return role


def document(person: Known) -> dict[str, Any]:
    state = {
        "lastSeen": moment_or_never(person.last_seen_ms or 0),
        "sessions": person.sessions,
        "apiTokens": person.api_tokens,
    }
    return envelope.document("Person", person.name, person.meta, {"role": person.role.value}, state)


def session(row: tables.Session) -> SessionAnswer:
    return SessionAnswer(
        id=row.id,
        browser=row.browser,
        created=moment(row.created_ms),
        last_used=None if row.last_used_ms is None else moment(row.last_used_ms),
        expires=moment(row.expires_ms),
    )
