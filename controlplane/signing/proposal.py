"""Documents that wait for somebody else's signature: a name for exactly these, and signatures put together. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from controlplane.signing import counting, metadata
from protos.errors import Rejected

SHORT = 12  # letters of an id that people are shown

Signatures = Mapping[str, Mapping[str, str]]  # role → id of key → hex


def identity(documents: Mapping[str, bytes], withdrawn: Iterable[str]) -> str:
    """Of what is to be signed, whoever signed it so far: nothing of it can change under one id. Raises Rejected."""
    told = {role: hashlib.sha256(metadata.statement(role, each)).hexdigest() for role, each in documents.items()}
    return hashlib.sha256(json.dumps([told, sorted(withdrawn)], sort_keys=True).encode()).hexdigest()[:32]


def counted(before: Mapping[str, bytes], documents: Mapping[str, bytes]) -> dict[str, bytes]:
    """With signatures that count alone. Raises Rejected: a document has none."""
    needs = counting.needs(before, documents)
    signed = {role: frozenset[str]().union(*(each.signed for each in needs if each.role == role)) for role in documents}
    if not any(signed.values()):
        raise Rejected("none of these documents is signed by a key that may; sign before you propose")
    return {role: metadata.only(role, content, signed[role]) for role, content in documents.items()}


def joined(before: Mapping[str, bytes], documents: Mapping[str, bytes], signatures: Signatures) -> dict[str, bytes]:
    """`documents` with `signatures` beside those they have, each key once.

    Raises Rejected: one that does not count, by whichever of its role's keys.
    """
    if unknown := signatures.keys() - documents.keys():
        raise Rejected(f"{min(unknown)}.json is not in this proposal; look at it again")
    after = {role: metadata.with_signatures(role, each, signatures.get(role, {})) for role, each in documents.items()}
    needs = counting.needs(before, after)
    for role, given in signatures.items():
        counts = frozenset[str]().union(*(each.signed for each in needs if each.role == role))
        if odd := given.keys() - counts:
            raise Rejected(
                f"the signature of {min(odd)[:SHORT]} over {role}.json does not count: that key may not sign it, or "
                "it signed something else; look at the proposal again, then sign"
            )
    return after
