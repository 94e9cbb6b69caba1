"""One signed document to and from bytes, by `tuf`. What is not understood is Rejected, with the file's name in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from securesystemslib.signer import Key, Signature, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from controlplane.signing import keys
from controlplane.signing.documents import LAST_NUMBER, PATHS, Document, Keys, lifetime, model_paths
from protos import ids, trust
from protos.errors import Rejected
from protos.trust import Assignment, Listing

_TYPES: dict[str, type[Signed]] = {trust.ROOT: Root, trust.SNAPSHOT: Snapshot, trust.TIMESTAMP: Timestamp}


def parsed(role: str, content: bytes) -> Metadata[Any]:
    """Raises Rejected: no document of this role."""
    try:
        found: Metadata[Any] = Metadata.from_bytes(content)
    except DeserializationError as error:
        raise Rejected(f"{role}.json is no signed metadata") from error
    if not isinstance(found.signed, _TYPES.get(role, Targets)):
        raise Rejected(f"{role}.json holds metadata of another kind, {found.signed.type}")
    return found


def read(role: str, content: bytes, delegator: bytes, by: str) -> Document:
    """The document of `role`; `delegator` is that of `by`, and says whose signatures count. Raises Rejected."""
    found, above = parsed(role, content), parsed(by, delegator).signed
    try:
        checked = above.get_verification_result(role, found.signed_bytes, found.signatures)
    except (ValueError, RepositoryError) as error:
        raise Rejected(f"{by}.json says nothing of who may sign {role}") from error
    return Document(
        role=role,
        version=found.signed.version,
        expires=int(found.signed.expires.timestamp()),
        signed_by=frozenset(checked.signed),
        threshold=checked.threshold,
        size=len(content),
        **_said(role, found.signed),
    )


def trusted(role: str, delegator: bytes) -> dict[str, Key]:
    """The keys that may sign `role`, by id; `delegator`: the document that names them. Raises Rejected."""
    above: Root | Targets = Metadata.from_bytes(delegator).signed
    try:
        ids = above.get_delegated_role(role).keyids
        return {each: above.get_key(each) for each in sorted(ids)}
    except (ValueError, RepositoryError) as error:
        raise Rejected(f"{above.type}.json says nothing of who may sign {role}") from error


def _said(role: str, signed: Signed) -> dict[str, Any]:
    if isinstance(signed, Root):
        _check_distinct(role, signed.keys)
        return {"delegated": {name: _keys(each) for name, each in signed.roles.items()}}
    if isinstance(signed, Snapshot):
        return {"named": {name.removesuffix(".json"): meta.version for name, meta in signed.meta.items()}}
    if isinstance(signed, Timestamp):
        return {"named": {trust.SNAPSHOT: signed.snapshot_meta.version}}
    assert isinstance(signed, Targets)
    _check_distinct(role, signed.delegations.keys if signed.delegations else {})
    return _delegations(signed) | _targets(role, signed)


def _keys(role: Role) -> Keys:
    return Keys(frozenset(role.keyids), role.threshold)


def _check_distinct(name: str, known: Mapping[str, Key]) -> None:
    """Two names of one key would count twice. Raises Rejected."""
    halves = [keys.pem(each) for each in known.values()]
    if len(set(halves)) < len(halves):
        raise Rejected(f"{name}.json trusts one key under two names; it would count as two signatures")


def _delegations(signed: Targets) -> dict[str, Any]:
    roles = (signed.delegations.roles or {}) if signed.delegations else {}
    if signed.delegations and signed.delegations.succinct_roles:
        raise Rejected("signed metadata delegates to hashed bins, which no signer of ours writes")
    return {
        "delegated": {name: _keys(role) for name, role in roles.items()},
        "paths": {name: tuple(role.paths or ()) for name, role in roles.items()},
    }


def _targets(role: str, signed: Targets) -> dict[str, Any]:
    if role.startswith("model-"):
        listings = tuple(_listings(signed))
        last_number = _highest(signed, LAST_NUMBER, (each.number for each in listings))
        floor = _highest(signed, trust.FLOOR, (each.floor for each in listings))
        return {"listings": listings, "last_number": last_number, "floor": floor}
    if role == trust.ASSIGN:
        return {"assignments": tuple(_assignment(each) for _, each in sorted(signed.targets.items()))}
    return {"stray": tuple(sorted(signed.targets))}


def _highest(signed: Targets, name: str, listed: Iterable[int]) -> int:
    found = signed.unrecognized_fields.get(name, 0)
    if not isinstance(found, int) or isinstance(found, bool):
        raise Rejected(f"signed metadata: {name} must be a whole number")
    return max([found, *listed])


def _listings(signed: Targets) -> list[Listing]:
    """Raises InvalidManifest: signed, and still not what a signer of ours writes."""
    return [
        trust.listing(path, target.length, target.hashes, target.custom or {})
        for path, target in sorted(signed.targets.items())
    ]


def _assignment(target: TargetFile) -> Assignment:
    _, deployment, which = target.path.split("/")
    name = ids.deployment_name(deployment)
    return trust.assignment(name, target.length, target.hashes, target.custom or {}, shadow=which == "shadow")


def target(item: Listing | Assignment) -> TargetFile:
    custom = trust.listing_custom(item) if isinstance(item, Listing) else trust.assignment_custom(item)
    return TargetFile(item.size, trust.hashes(item.digest), item.path, {"custom": custom})


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def expiry(role: str, now: int) -> datetime:
    return moment(now + lifetime(role))


def delegations(roles: Mapping[str, tuple[Iterable[Key], int]]) -> Delegations:
    """role → who may sign it, and how many must. Whatever a role does not name, nobody else is asked for."""
    whole: dict[str, Key] = {}
    named: dict[str, DelegatedRole] = {}
    for role, (holders, threshold) in roles.items():
        mine = {key.keyid: key for key in holders}
        whole |= mine
        paths = list(PATHS.get(role) or model_paths(role))
        named[role] = DelegatedRole(role, sorted(mine), threshold, terminating=True, paths=paths)
    return Delegations(whole, named)


def meta(content: bytes, version: int) -> MetaFile:
    """With length and hash: without them a changed letter in a signature would pass."""
    return MetaFile.from_data(version, content, ["sha256"])


def signed(document: Signed, signers: Iterable[Signer]) -> bytes:
    """Raises Rejected: a signer refused."""
    made: Metadata[Any] = Metadata(document)
    for signer in signers:
        _sign(made, signer)
    return made.to_bytes()


def signature(role: str, content: bytes, signer: Signer) -> str:
    """That of `signer` alone over a document as it is, in hex. Raises Rejected."""
    found = parsed(role, content)
    return _sign(found, signer).signature


def _sign(document: Metadata[Any], signer: Signer) -> Signature:
    try:
        return document.sign(signer, append=True)
    except RepositoryError as error:
        raise Rejected(
            f"a key did not sign ({keys.told_by(error.__cause__ or error)}); see that it is reachable"
        ) from error


def with_signatures(role: str, content: bytes, signatures: Mapping[str, str]) -> bytes:
    """`signatures`: hex, by id of key. One key has one, whatever was there. Whether they count, `read` tells."""
    found = parsed(role, content)
    found.signatures |= {key: Signature(key, hexed) for key, hexed in signatures.items()}
    found.signatures = dict(sorted(found.signatures.items()))
    return found.to_bytes()


def only(role: str, content: bytes, signed_by: Iterable[str]) -> bytes:
    """Without signatures of others. Raises Rejected."""
    found = parsed(role, content)
    found.signatures = {key: found.signatures[key] for key in sorted(signed_by)}
    return found.to_bytes()


def statement(role: str, content: bytes) -> bytes:
    """What is signed of a document: all but the signatures. Raises Rejected."""
    return parsed(role, content).signed_bytes
