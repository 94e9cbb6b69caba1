"""Proposals as holders of keys meet them: made on one machine, looked at and signed on others. No printing.

Nothing that the control plane says of a proposal is believed: what changes is worked out here, from the documents that
are to be signed and from what this machine has proven. No key leaves its machine; what is sent are signatures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.cli import seen, signing
from controlplane.cli.client import Client, Document, address
from controlplane.cli.signing import Keyring
from controlplane.signing import changes, counting, held, metadata, rotation
from controlplane.signing.chain import Chain
from controlplane.signing.counting import Need
from controlplane.signing.documents import RELEASE
from controlplane.signing.keys import Key, Signer, public_key
from controlplane.signing.proposal import SHORT
from controlplane.signing.rotation import ROLES, Trusted
from protos import trust
from protos.errors import Rejected


@dataclass(frozen=True)
class Change:
    """Of `roles`: keys that come (PEM files or key URIs) and go (ids, or how they begin), and how many must sign.

    `renew`: root and targets for another year besides.
    """

    roles: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    threshold: int | None = None
    renew: bool = False

    def __post_init__(self) -> None:
        """Raises Rejected."""
        said = bool(self.added or self.removed or self.threshold)
        if unknown := [role for role in self.roles if role not in ROLES]:
            raise Rejected(f"there is no role {unknown[0]!r}; there are {', '.join(ROLES)}")
        online = set(self.roles) & set(trust.ONLINE)
        if online and (set(self.roles) - online or self.removed or self.threshold or len(self.added) > 1):
            raise Rejected(
                f"{min(online)} has one key, which the control plane holds or can reach: name online roles alone, with "
                "one --add at most"
            )
        if self.roles and not online and not said:
            raise Rejected("say what changes: --add, --remove or --threshold")
        if not (self.roles or self.renew):
            raise Rejected(f"name roles, of {', '.join(ROLES)}, or say --renew")


@dataclass(frozen=True)
class Review:
    """A proposal as this machine understands it; `trouble`: why it is not to be signed."""

    id: str
    who: str
    documents: dict[str, bytes]
    needs: tuple[Need, ...] = ()
    lines: tuple[str, ...] = ()
    trouble: str = ""


class NothingToAdd(Rejected):
    """These keys can sign nothing of that proposal; of another they may."""


# ---- making one ----


def propose(client: Client, ring: Keyring, change: Change) -> Iterator[str]:
    """What changes, then what is to be done, or that it is published where no other signature is needed.

    Raises Rejected, Retryable.
    """
    found = signing.fetched(client, ring)
    wanted = _wanted(client, ring, found, change)
    known = [key for each in wanted.values() for key in each.keys]
    known += [key for role in (trust.ROOT, trust.TARGETS, trust.MODELS) for key in found.keys(role)]
    signers = _opened(ring, known)
    made = rotation.rotated(found, wanted, signers, int(time.time()), renew=change.renew)
    needs = counting.needs(found.contents, made)
    if not any(each.signed for each in needs):
        raise Rejected("none of the keys given may sign this; name one with --key ('longshore keys' shows which may)")
    yield from changes.told(found.contents, made)
    if counting.missing(needs):
        yield signing.propose(client, made)
    else:
        signing.send(client, ring, found, made)
        yield "published"


def _wanted(client: Client, ring: Keyring, found: Chain, change: Change) -> dict[str, Trusted]:
    online = [role for role in change.roles if role in trust.ONLINE]
    if not online:
        return {role: _changed(found, role, ring, change) for role in change.roles}
    if change.added:
        return dict.fromkeys(online, Trusted((held.public(change.added[0], ring.ask),), 1))
    made = client.document("POST", "/metadata/keys")
    return dict.fromkeys(online, Trusted((public_key(made["id"], made["key"]),), 1))


def _changed(found: Chain, role: str, ring: Keyring, change: Change) -> Trusted:
    now = rotation.trusted(found, trust.MODELS if role == RELEASE else role)
    gone = {_one(role, now.keys, begun) for begun in change.removed}
    kept = {key.keyid: key for key in now.keys if key.keyid not in gone}
    kept |= {key.keyid: key for key in (held.public(name, ring.ask) for name in change.added)}
    return Trusted(tuple(kept.values()), change.threshold or now.threshold)


def _one(role: str, known: Sequence[Key], begun: str) -> str:
    found = [key.keyid for key in known if key.keyid.startswith(begun)]
    if len(found) != 1:
        raise Rejected(f"{role} has {len(found)} keys that begin with {begun!r}; 'longshore keys' shows them")
    return found[0]


def _opened(ring: Keyring, known: Sequence[Key]) -> list[Signer]:
    """One of the ring for each name."""
    distinct = list({key.keyid: key for key in known}.values())
    return [held.opened(name, distinct, ring.ask) for name in ring.names]


# ---- looking at one, and signing it ----


def reviews(client: Client, ring: Keyring, begun: str | None = None) -> list[Review]:
    """Those that wait, oldest first; of `begun` the one whose id begins so. Raises Rejected, Retryable."""
    waiting = client.listed("proposals") if begun is None else [_chosen(client, begun)]
    if not waiting:
        return []
    found = signing.fetched(client, ring)
    return [_review(each, found) for each in waiting]


def _chosen(client: Client, begun: str) -> Document:
    """What is empty names none, not the only one. Raises Rejected."""
    found = [each for each in client.listed("proposals") if begun and each["id"].startswith(begun)]
    if len(found) != 1:
        raise Rejected(f"{len(found)} proposals begin with {begun!r}; 'longshore keys pending' lists them")
    return found[0]


def _review(item: Document, found: Chain) -> Review:
    documents = {role: text.encode() for role, text in item["documents"].items()}
    try:
        lines = tuple(changes.told(found.contents, documents))
        needs = counting.needs(found.contents, documents)
    except Rejected as error:
        return Review(item["id"], item["proposedBy"], documents, trouble=str(error))
    return Review(item["id"], item["proposedBy"], documents, needs, lines)


def sign(client: Client, ring: Keyring, review: Review) -> str:
    """Add what the keys of `ring` may sign and did not yet; what is to be done next.

    Raises NothingToAdd, Rejected, Retryable.
    """
    if review.trouble:
        raise NothingToAdd(review.trouble)
    signers = _opened(ring, [key for each in review.needs for key in each.keys.values()])
    given: dict[str, dict[str, str]] = {}
    for need in review.needs:
        for signer in signers:
            key = signer.public_key.keyid
            if key in need.keys and key not in need.signed:
                made = metadata.signature(need.role, review.documents[need.role], signer)
                given.setdefault(need.role, {})[key] = made
    if not given:
        raise NothingToAdd(f"proposal {review.id[:SHORT]} wants no signature of these keys: they signed it, or may not")
    answer = client.document("POST", address("proposals", review.id, "sign"), json={"signatures": given})
    if answer["state"] == "pending":
        return signing.waiting(answer)
    _check_published(client, ring, review)
    return f"published: {', '.join(sorted(review.documents))}"


def _check_published(client: Client, ring: Keyring, review: Review) -> None:
    """What is served now is what was signed; remembered, so that nobody shows this machine less."""
    found = signing.fetched(client, ring)
    for role, content in review.documents.items():
        if metadata.statement(role, found.contents[role]) != metadata.statement(role, content):
            raise Rejected(f"the control plane published {role}.json and serves another; sign no more, and ask why")
    if ring.root is not None:
        seen.keep(ring.root, found)


def cancel(client: Client, begun: str) -> str:
    """The id. Raises Rejected."""
    name = str(_chosen(client, begun)["id"])
    client.call("DELETE", address("proposals", name))
    return name[:SHORT]
