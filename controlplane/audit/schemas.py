"""HTTP bodies of the audit."""

from __future__ import annotations

from controlplane import tables
from controlplane.listing import WholeList
from controlplane.schemas import Answer
from controlplane.shape import moment


class AuditAnswer(Answer):
    time: str
    who: str  # a person, or a service's API token
    via: str  # the API token's name, or "browser"
    role: str  # that was needed to be: as it was then
    verb: str
    object: str  # as its address has it: deployments/harbour-watch


class AuditList(WholeList):
    items: list[AuditAnswer]


def entry(row: tables.AuditEntry) -> AuditAnswer:
    return AuditAnswer(
        time=moment(row.at_ms), who=row.who, via=row.via, role=row.role, verb=row.verb, object=row.object
    )
