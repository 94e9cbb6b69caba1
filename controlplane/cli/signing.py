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
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from controlplane.cli import asking, contexts, seen
from controlplane.cli.client import Client, Document
from controlplane.cli.exits import Conflict
from controlplane.files import write_atomically
from controlplane.signing import chain, counting, held, metadata
from controlplane.signing.chain import Chain
from controlplane.signing.documents import file_name, is_model
from controlplane.signing.keys import Signer
from controlplane.signing.listing import listed
from controlplane.signing.proposal import SHORT
from protos import trust
from protos.errors import Rejected
from protos.ids import Digest, ModelName, Version
from protos.trust import Listing

TRIES = 5  # somebody else may sign at the same moment
KEY = "LONGSHORE_RELEASE_KEY"
_CLASS = re.compile(r"[a-z0-9_]+-[a-z0-9]+")  # agent.trust.agreement.device_classes
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
Release = tuple[ModelName, Version]


@dataclass(frozen=True)
class Terms:
    """What a signature says beside which bytes. None: not said; what is listed already keeps what it has."""

    floor: int | None = None  # the lowest number that boxes may run from this release on
    device_classes: tuple[str, ...] | None = None  # where it may run; empty: anywhere
    minimum_agent: str | None = None  # version; "": any

    def after(self, item: Listing, before: Listing | None) -> Listing:
        """`item` under these terms; `before`: as it is listed."""
        floor, classes, agent = self.floor, self.device_classes, self.minimum_agent
        kept = before or item
        return replace(
            item,
            floor=kept.floor if floor is None else floor,
            device_classes=kept.device_classes if classes is None else classes,
            minimum_agent=kept.minimum_agent if agent is None else agent,
        )


def terms(floor: int | None, classes: Sequence[str], minimum_agent: str | None) -> Terms:
    """As words of a command; a class or an agent that is "" takes back what was said. Raises Rejected."""
    for each in filter(None, classes):
        if not _CLASS.fullmatch(each):
            raise Rejected(f"--for {each!r} names no boxes; say MACHINE-PROVIDER, such as x86_64-cpu or aarch64-cuda")
    if minimum_agent and not _VERSION.fullmatch(minimum_agent):
        raise Rejected(f"--minimum-agent {minimum_agent!r} is no version; say for example 0.2.0")
    return Terms(floor, tuple(filter(None, classes)) if classes else None, minimum_agent)


@dataclass(frozen=True)
class Keyring:
    """Files or URIs of release keys, and where the root lies that they trust."""

    names: tuple[str, ...] = ()
    root: Path | None = None
    ask: held.Ask = field(default_factory=lambda: asking.asker({}))

    def __bool__(self) -> bool:
        return bool(self.names)


@dataclass(frozen=True)
class Signed:
    """`waits`: what was signed is a proposal, until others sign it as well; it says what they are to do."""

    listings: Mapping[str, Listing] = field(default_factory=dict)  # by path, as they are listed now
    changed: bool = False
    waits: str = ""


def keyring(given: Sequence[str], context: contexts.Context, environment: Mapping[str, str]) -> Keyring:
    """The keys to sign with; none when there are none. Raises Rejected."""
    names = tuple(given) or tuple(filter(None, environment.get(KEY, "").split(",")))
    lent = Path(context.state) / "keys" / "release.key" if context.state else None
    if not names and lent is not None and lent.exists():
        names = (str(lent),)
    if not names:
        return Keyring()
    there = [root for name in names if (root := _root_beside(Path(name)))]
    return Keyring(names, there[0] if there else remembered_root(context, environment), asking.asker(environment))


def _root_beside(key: Path) -> Path | None:
    """None where there is none, or `key` cannot be read: whoever opens it says why."""
    try:
        return root if key.is_file() and (root := key.with_name("root.json")).exists() else None
    except OSError:
        return None


def remembered_root(context: contexts.Context, environment: Mapping[str, str]) -> Path:
    """For a key in hardware, or without its root: this user's own note, made at the first use."""
    name = hashlib.sha256(context.url.encode()).hexdigest()[:16]
    return contexts.config_path(environment).with_name("roots") / f"{name}.json"


def listing(model: ModelName, version: Version, task: str, digest: Digest, size: int) -> Listing:
    return Listing(
        model=model,
        version=version,
        digest=digest,
        size=size,
        number=0,
        task=task,
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
    client: Client,
    ring: Keyring,
    wishes: Sequence[Listing],
    gone: Sequence[Release] = (),
    terms: Terms = Terms(),
    *,
    whole: bool = False,
    again: bool = False,
) -> Signed:
    """List `wishes` under `terms`, withdraw `gone`; propose it where others must sign as well.

    `whole`: look at every model, so that what is due is signed anew as well; `again`: what is not due, too.

    Raises:
        Rejected: the keys may not sign, what is here is not proven, or the control plane refuses.
        Retryable: nobody answers.
    """
    for left in reversed(range(TRIES)):
        try:
            return _sign(client, ring, wishes, gone, terms, whole=whole, again=again)
        except Conflict:
            if not left:
                raise
    raise AssertionError


def _sign(
    client: Client,
    ring: Keyring,
    wishes: Sequence[Listing],
    gone: Sequence[Release],
    terms: Terms,
    *,
    whole: bool,
    again: bool,
) -> Signed:
    concerned = {trust.model_role(model) for model in (*(each.model for each in wishes), *(each[0] for each in gone))}
    found = fetched(client, ring, None if whole else concerned)
    before = _listed(found)
    wanted = [terms.after(each, before.get(each.path)) for each in wishes]
    news = [each for each in wanted if not _same(each, before.get(each.path))]
    signers = opened(ring, found, trust.MODELS)
    due = news or gone or whole
    made = listed(found, news, gone, signers, max(int(time.time()), 0), again=again) if due else {}
    if made and counting.missing(counting.needs(found.contents, made)):
        return Signed(changed=True, waits=propose(client, made, gone))
    after = _listed(send(client, ring, found, made, gone) if made else found)
    return Signed({each.path: after[each.path] for each in wishes}, changed=bool(made))


def _listed(found: Chain) -> dict[str, Listing]:
    return {each.path: each for document in found.documents.values() for each in document.listings}


def _same(wish: Listing, before: Listing | None) -> bool:
    """Whether the very same is listed: who signed it when may differ."""
    return before is not None and before == replace(
        wish, number=before.number, signed_ms=before.signed_ms, signed_by=before.signed_by
    )


def opened(ring: Keyring, found: Chain, role: str) -> list[Signer]:
    """Raises Rejected."""
    trusted = found.keys(role)
    return [held.opened(name, trusted, ring.ask) for name in ring.names]


def fetched(client: Client, ring: Keyring, roles: Iterable[str] | None = None) -> Chain:
    """What is signed now, proven, and not older than what this machine has seen; of models those of `roles`, or all.

    Raises Rejected, Retryable.
    """
    root = chain.climbed(_anchor(client, ring), lambda version: client.metadata(file_name(trust.ROOT, version)))
    versions = {each["role"]: each["version"] for each in client.document("GET", "/metadata")["items"]}
    asked = None if roles is None else set(roles)
    wanted = {role for role in versions if is_model(role) and (asked is None or role in asked)}
    contents = {
        role: _needed(client, file_name(role, versions[role])) for role in (trust.TARGETS, trust.MODELS, *wanted)
    }
    found = chain.proven(root, contents)
    _check_whole(found, asked)
    if ring.root is not None:
        seen.check(ring.root, found)
    return found


def _check_whole(found: Chain, asked: set[str] | None) -> None:
    """A list that was hidden would be begun anew, without what it lists."""
    delegated = found.documents[trust.MODELS].delegated.keys()
    missing = (delegated if asked is None else delegated & asked) - found.documents.keys()
    if missing:
        raise Rejected(
            f"the control plane does not show {min(missing)}.json, which there is; sign nothing, and ask why"
        )


def _anchor(client: Client, ring: Keyring) -> bytes:
    """Raises Rejected."""
    if ring.root is None:
        return _needed(client, "root.json")
    try:
        if ring.root.exists():
            return _sound(ring.root, ring.root.read_bytes())
        root = _needed(client, "root.json")
        ring.root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(ring.root, root)
    except OSError as error:
        raise Rejected(
            f"{ring.root}, the root from which signing is proven, cannot be kept ({error.strerror}); see that you may "
            "write there, and that there is room"
        ) from error
    return root


def _sound(path: Path, root: bytes) -> bytes:
    """Raises Rejected."""
    try:
        metadata.parsed(trust.ROOT, root)
    except Rejected as error:
        raise Rejected(
            f"{path}, the root from which signing is proven, is damaged; put the one you were given there"
        ) from error
    return root


def _needed(client: Client, name: str) -> bytes:
    content = client.metadata(name)
    if content is None:
        raise Rejected(f"the control plane has no {name}; update it to 0.2 or later first")
    return content


def send(client: Client, ring: Keyring, found: Chain, made: Mapping[str, bytes], gone: Sequence[Release] = ()) -> Chain:
    """`made`, to stand beside what was `found`; all as it is from now on.

    Raises Rejected, Conflict: somebody else signed meanwhile.
    """
    documents = {role: content.decode() for role, content in made.items()}
    withdraw = [f"{model}@{version}" for model, version in gone]
    after = chain.after(found, made)
    client.call("PUT", "/metadata", json={"documents": documents, "withdraw": withdraw})
    if ring.root is not None:
        seen.keep(ring.root, after)
    return after


def propose(client: Client, made: Mapping[str, bytes], gone: Sequence[Release] = ()) -> str:
    """`made`, for others to sign; what is to be done next.

    Raises Rejected, Conflict: somebody else signed meanwhile.
    """
    body = {
        "documents": {role: content.decode() for role, content in made.items()},
        "withdraw": [f"{model}@{version}" for model, version in gone],
    }
    return waiting(client.document("POST", "/proposals", json=body))


def waiting(proposal: Document) -> str:
    """What a proposal lacks, and the command that gives it."""
    name, needs = proposal["id"][:SHORT], proposal["needs"]
    if trouble := proposal["trouble"]:
        return f"proposal {name} was overtaken ({trouble}): 'longshore keys cancel {name}', and propose again"
    lacks = [f"{each['role']} {len(each['signedBy'])} of {each['threshold']}" for each in needs if _short(each)]
    told = f"proposal {name} waits for signatures ({', '.join(lacks)})"
    return f"{told}: another holder runs 'longshore keys sign {name}'"


def _short(need: Document) -> bool:
    return len(need["signedBy"]) < int(need["threshold"])
