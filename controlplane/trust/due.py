"""What is to be signed online, and why now. Pure, level-triggered: the same state asks for the same, however it came.

- `assign` when it does not say what Deployments want, `snapshot` when it does not name the newest documents,
  `timestamp` when it does not name the newest snapshot; each also from half of its life on, and when its keys were
  rotated.
- Each entails those above it. What a release key has not listed is not assigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controlplane.fleet.objects import Deployment
from controlplane.signing.documents import Document
from protos import trust
from protos.ids import Digest, ModelName, Version
from protos.trust import Assignment, Listing

ORDER = (trust.ASSIGN, trust.SNAPSHOT, trust.TIMESTAMP)
_ABOVE = (trust.ROOT, trust.SNAPSHOT, trust.TIMESTAMP)  # what no snapshot names
Wanted = tuple[Assignment, ...]
Listings = Mapping[tuple[ModelName, Version], Listing]


def assignments(
    deployments: Iterable[Deployment], listings: Listings, releases: Mapping[tuple[ModelName, Version], Digest]
) -> Wanted:
    """By path. `releases`: what the registry has under each version."""
    wanted = []
    for item in deployments:
        spec = item.spec
        for key, shadow in (((spec.model, spec.version), False), (spec.shadow.candidate, True)):
            found = listings.get(key) if key else None
            if found is not None and releases.get((found.model, found.version)) == found.digest:
                wanted.append(
                    Assignment(item.name, found.model, found.version, found.digest, found.size, shadow=shadow)
                )
    return tuple(sorted(wanted, key=lambda each: each.path))


def due(documents: Mapping[str, Document], wanted: Wanted, now: int, lives: Mapping[str, int]) -> tuple[str, ...]:
    """Online roles to sign anew, in this order. `now`: Unix seconds; `lives`: seconds, by role."""
    for place, role in enumerate(ORDER):
        found = documents.get(role)
        if found is None or not found.verified or found.due(now, lives[role]) or not _right(found, documents, wanted):
            return ORDER[place:]
    return ()


def _right(found: Document, documents: Mapping[str, Document], wanted: Wanted) -> bool:
    """Whether it says what is."""
    if found.role == trust.ASSIGN:
        return found.assignments == wanted
    if found.role == trust.SNAPSHOT:
        return found.named == {role: each.version for role, each in documents.items() if role not in _ABOVE}
    return found.named == {trust.SNAPSHOT: documents[trust.SNAPSHOT].version}
