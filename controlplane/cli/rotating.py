"""Other keys in place of those that count, and root and targets for another year. Run where the offline keys are.

New key files get their final names only after the control plane took what names them: a rotation that cannot be signed
leaves every key where it was. Once it was sent they stay, whatever the control plane says: it may have taken it all the
same, and boxes would follow keys that nobody has.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.cli import asking
from controlplane.cli.client import Client
from controlplane.cli.signing import Keyring, fetched, remembered_root, send
from controlplane.signing import held, keys
from controlplane.signing.chain import Chain
from controlplane.signing.documents import RELEASE
from controlplane.signing.keys import CryptoSigner, Key, Signer
from controlplane.signing.rotation import ROLES, Trusted, check_whole, rotated
from protos import trust
from protos.errors import Rejected


@dataclass(frozen=True)
class Places:
    offline: Path  # keys of root and targets
    release: Path  # new keys of release, and the first root


@dataclass(frozen=True)
class Wish:
    roles: tuple[str, ...]
    count: int  # of new keys
    threshold: int
    publics: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()  # files or URIs that sign for `publics`

    def __post_init__(self) -> None:
        """Raises Rejected."""
        for role in self.roles:
            if role not in ROLES:
                raise Rejected(f"there is no role {role!r}; there are {', '.join(ROLES)}")
        if self.publics and self.roles != (RELEASE,):
            raise Rejected("--public names keys of release; rotate the other roles in a call of their own")
        if set(self.roles) & set(trust.ONLINE) and self.threshold > 1:
            raise Rejected(
                "online roles have one key each, which the control plane holds; a threshold is for the others"
            )


@dataclass
class _New:
    """Keys that are to count, by role, and the files they lie in."""

    trusted: dict[str, Trusted] = field(default_factory=dict)
    signers: list[Signer] = field(default_factory=list)
    files: dict[Path, str] = field(default_factory=dict)  # → its role


def rotate(client: Client, places: Places, wish: Wish, environment: Mapping[str, str]) -> Iterator[str]:
    """What was done, line by line. Raises Rejected, Retryable, Fatal."""
    ring = _ring(client, places, environment)
    found, new = fetched(client, ring), _New()
    for role in wish.roles:
        if role not in trust.ONLINE:
            _make(role, wish, places, new, ring)
    if online := [role for role in wish.roles if role in trust.ONLINE]:
        made = client.document("POST", "/metadata/keys")
        key = keys.public_key(made["id"], made["key"])
        new.trusted |= dict.fromkeys(online, Trusted((key,), 1))
    try:
        documents = rotated(found, new.trusted, [*_held(places.offline), *new.signers], int(time.time()))
        check_whole(found, documents)
    except Rejected:
        for path in new.files:
            path.unlink()
        raise
    _send(client, ring, found, documents, new)
    yield from _told(new)
    for path, role in new.files.items():
        yield from _settled(path, role, wish.count)


def _send(client: Client, ring: Keyring, found: Chain, documents: Mapping[str, bytes], new: _New) -> None:
    try:
        send(client, ring, found, documents)
    except Rejected as error:
        if not new.files:
            raise
        kept = ", ".join(map(str, new.files))
        raise Rejected(
            f"{error}; the new keys stay at {kept} until 'longshore keys' shows that none of them counts"
        ) from error


def renew(client: Client, places: Places, environment: Mapping[str, str]) -> Iterator[str]:
    """Raises Rejected, Retryable."""
    ring = _ring(client, places, environment)
    found = fetched(client, ring)
    documents = rotated(found, {}, _held(places.offline), int(time.time()), renew=True)
    check_whole(found, documents)
    send(client, ring, found, documents)
    yield "root and targets are good for another year"


def _ring(client: Client, places: Places, environment: Mapping[str, str]) -> Keyring:
    root = places.release / "root.json"
    there = root if root.exists() else remembered_root(client.context, environment)
    return Keyring((), there, asking.asker(environment))


def _held(folder: Path) -> list[CryptoSigner]:
    return [keys.read_key(path) for path in sorted(folder.glob("*.key"))]


def _make(role: str, wish: Wish, places: Places, new: _New, ring: Keyring) -> None:
    if role == RELEASE and wish.publics:
        publics = [keys.read_public(path) for path in wish.publics]
        new.trusted[role] = Trusted(tuple(publics), wish.threshold)
        new.signers += [held.opened(name, publics, ring.ask) for name in wish.names]
        return
    folder = places.release if role == RELEASE else places.offline
    made = [keys.new_key() for _ in range(wish.count)]
    for key in made:
        path = folder / f"{role}-{key.public_key.keyid[:12]}.key"
        keys.write_key(path, key)
        new.files[path] = role
    new.signers += made
    publics_made: tuple[Key, ...] = tuple(key.public_key for key in made)
    new.trusted[role] = Trusted(publics_made, wish.threshold)


def _told(new: _New) -> Iterator[str]:
    for role, trusted in new.trusted.items():
        ids = " ".join(key.keyid[:12] for key in trusted.keys)
        yield f"{role}: {trusted.threshold} of {len(trusted.keys)} from now on: {ids}"


def _settled(path: Path, role: str, count: int) -> Iterator[str]:
    """A single new key takes the name of the one it replaces, which is put aside."""
    usual = path.with_name(f"{role}.key")
    if count > 1:
        yield f"  {path}"
        return
    if usual.exists():
        old = usual.with_name(f"{role}-{keys.read_key(usual).public_key.keyid[:12]}.key.old")
        usual.rename(old)
        yield f"  {old} counts no more; delete it"
    path.rename(usual)
    yield f"  {usual}"
