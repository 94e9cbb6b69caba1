"""Whose signatures a document still wants: each key once, by the keys that its delegator names, for a root by two.

Only what a key of the role really signed counts; what others added is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controlplane.signing import metadata
from controlplane.signing.documents import delegator
from controlplane.signing.keys import Key
from protos import trust
from protos.errors import Rejected


@dataclass(frozen=True)
class Need:
    """What one delegator wants of one document."""

    role: str  # of the document
    keys: Mapping[str, Key]  # that may sign, by id
    threshold: int
    signed: frozenset[str]  # those of them that did

    @property
    def missing(self) -> int:
        return max(0, self.threshold - len(self.signed))


def needs(before: Mapping[str, bytes], made: Mapping[str, bytes]) -> tuple[Need, ...]:
    """Of all documents in `made`, which come in place of those in `before`. A root that changes its own keys has two.

    Raises Rejected: a document that is none, or of no role that its delegator names.
    """
    found: list[Need] = []
    for role in sorted(made):
        for above in _above(role, before, made):
            need = _need(role, made[role], above)
            found += [need] if need not in found else []
    return tuple(found)


def _above(role: str, before: Mapping[str, bytes], made: Mapping[str, bytes]) -> tuple[bytes, ...]:
    """The documents whose keys must sign `role`: for a root the one before it and itself."""
    if role == trust.ROOT:
        return (before.get(role, made[role]), made[role])
    above = delegator(role)
    whole = {**before, **made}
    if above not in whole:
        raise Rejected(f"{role}.json came before {above}.json, which says who may sign it")
    return (whole[above],)


def _need(role: str, content: bytes, above: bytes) -> Need:
    read = metadata.read(role, content, above, delegator(role))
    return Need(role, metadata.trusted(role, above), read.threshold, read.signed_by)


def missing(found: Iterable[Need]) -> int:
    """Signatures that somebody still has to give, of the document that lacks most."""
    return max((each.missing for each in found), default=0)
