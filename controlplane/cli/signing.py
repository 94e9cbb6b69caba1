"""Sign releases here, and send what was signed. No printing; a private key goes no further than this process.

What is extended is proven first, from a root that lies beside the key: a control plane that was taken over cannot slip
in what no release key signed. Which key: `--key`, else LONGSHORE_RELEASE_KEY, else that of the `longshore up` whose
context is used.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli import contexts
from controlplane.cli.client import Client
from controlplane.cli.exits import Conflict, NotFound
from controlplane.signing import chain, keys
from controlplane.signing.chain import Chain
from controlplane.signing.documents import file_name, is_model
from controlplane.signing.keys import Signer
from controlplane.signing.listing import listed
from protos import trust
from protos.errors import Rejected
from protos.ids import Digest, ModelName, Version
from protos.trust import Listing

TRIES = 5  # somebody else may sign at the same moment
KEY = "LONGSHORE_RELEASE_KEY"
Release = tuple[ModelName, Version]


@dataclass(frozen=True)
class Terms:
    """What a signature says beside which bytes."""

    floor: int = 0  # the lowest number that boxes may run from this release on
    device_classes: tuple[str, ...] = ()  # where it may run; empty: anywhere
    minimum_agent: str = ""  # version; "": any


@dataclass(frozen=True)
class Keyring:
    """Files or URIs of release keys, and where the root lies that they trust."""

    names: tuple[str, ...] = ()
    root: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.names)


@dataclass(frozen=True)
class Signed:
    listings: Mapping[str, Listing] = field(default_factory=dict)  # by path, as they are listed now
    changed: bool = False


def keyring(given: Sequence[str], context: contexts.Context, environment: Mapping[str, str]) -> Keyring:
    """The keys to sign with; none when there are none. Raises Rejected."""
    names = tuple(given) or tuple(filter(None, environment.get(KEY, "").split(",")))
    lent = Path(context.state) / "keys" / "release.key" if context.state else None
    if not names and lent is not None and lent.exists():
        names = (str(lent),)
    if not names:
        return Keyring()
    beside = [Path(name).with_name("root.json") for name in names if Path(name).exists()]
    there = [path for path in beside if path.exists()]
    return Keyring(names, there[0] if there else remembered_root(context, environment))


def remembered_root(context: contexts.Context, environment: Mapping[str, str]) -> Path:
    """For a key in hardware, or without its root: this user's own note, made at the first use."""
    name = hashlib.sha256(context.url.encode()).hexdigest()[:16]
    return contexts.config_path(environment).with_name("roots") / f"{name}.json"


def listing(model: ModelName, version: Version, task: str, digest: Digest, size: int, terms: Terms) -> Listing:
    return Listing(
        model=model,
        version=version,
        digest=digest,
        size=size,
        number=0,
        task=task,
        floor=terms.floor,
        device_classes=terms.device_classes,
        minimum_agent=terms.minimum_agent,
        signed_ms=int(time.time() * 1000),
        signed_by=_myself(),
    )


def _myself() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = str(os.getuid())
    return f"{name}@{platform.node()}"[:200]


def sign(
    client: Client, ring: Keyring, wishes: Sequence[Listing], gone: Sequence[Release] = (), *, whole: bool = False
) -> Signed:
    """List `wishes`, withdraw `gone`. `whole`: look at every model, so that what is due is signed anew as well.

    Raises:
        Rejected: the keys may not sign, what is here is not proven, or the control plane refuses.
        Retryable: nobody answers.
    """
    for left in reversed(range(TRIES)):
        try:
            return _sign(client, ring, wishes, gone, whole=whole)
        except Conflict:
            if not left:
                raise
    raise AssertionError


def _sign(client: Client, ring: Keyring, wishes: Sequence[Listing], gone: Sequence[Release], *, whole: bool) -> Signed:
    concerned = {trust.model_role(model) for model in (*(each.model for each in wishes), *(each[0] for each in gone))}
    found = fetched(client, ring, None if whole else concerned)
    news = [each for each in wishes if not _known(each, found)]
    signers = opened(ring, found, trust.MODELS)
    made = listed(found, news, gone, signers, max(int(time.time()), 0)) if news or gone or whole else {}
    if made:
        send(client, made, gone)
    after = chain.proven(found.contents[trust.ROOT], {**_below_root(found), **made})
    everything = {each.path: each for document in after.documents.values() for each in document.listings}
    return Signed({each.path: everything[each.path] for each in wishes}, changed=bool(made))


def _known(wish: Listing, found: Chain) -> bool:
    """Whether the very same is listed: who signed it when may differ."""
    role = trust.model_role(wish.model)
    before = {each.path: each for each in found.documents[role].listings} if role in found.documents else {}
    same = before.get(wish.path)
    return same is not None and same == replace(
        wish, number=same.number, signed_ms=same.signed_ms, signed_by=same.signed_by
    )


def _below_root(found: Chain) -> dict[str, bytes]:
    return {role: content for role, content in found.contents.items() if role != trust.ROOT}


def opened(ring: Keyring, found: Chain, role: str) -> list[Signer]:
    """Raises Rejected."""
    trusted = found.keys(role)
    return [keys.opened(name, trusted) for name in ring.names]


def fetched(client: Client, ring: Keyring, roles: Iterable[str] | None = None) -> Chain:
    """What is signed now, proven; of models those of `roles` only, or all. Raises Rejected, Retryable."""
    root = chain.climbed(_anchor(client, ring), lambda version: _file(client, file_name(trust.ROOT, version)))
    versions = {each["role"]: each["version"] for each in client.document("GET", "/metadata")["items"]}
    wanted = {role for role in versions if is_model(role) and (roles is None or role in set(roles))}
    contents = {
        role: _needed(client, file_name(role, versions[role])) for role in (trust.TARGETS, trust.MODELS, *wanted)
    }
    return chain.proven(root, contents)


def _anchor(client: Client, ring: Keyring) -> bytes:
    if ring.root is not None and ring.root.exists():
        return ring.root.read_bytes()
    root = _needed(client, "root.json")
    if ring.root is not None:
        ring.root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring.root.write_bytes(root)
    return root


def _file(client: Client, name: str) -> bytes | None:
    try:
        return client.call("GET", f"/metadata/{name}").content
    except NotFound:
        return None


def _needed(client: Client, name: str) -> bytes:
    content = _file(client, name)
    if content is None:
        raise Rejected(f"the control plane has no {name}; update it to 0.3 or later first")
    return content


def send(client: Client, made: Mapping[str, bytes], gone: Sequence[Release] = ()) -> None:
    """Raises Rejected, Conflict: somebody else signed meanwhile."""
    documents = {role: content.decode() for role, content in made.items()}
    withdraw = [f"{model}@{version}" for model, version in gone]
    client.call("PUT", "/metadata", json={"documents": documents, "withdraw": withdraw})
