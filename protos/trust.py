"""What signed metadata says about releases: names of roles, paths of targets, the fields beside their hashes.

Metadata is TUF's (specification of 2026-01-22), with consistent snapshots and two delegations by `targets`:

    root ─ targets ─┬─ models ─ model-<name>    models/<model>/<version>          signed by release keys
                    └─ assign                   assign/<deployment>/release       signed by an online key
                                                assign/<deployment>/shadow

Both kinds of target have length and SHA-256 of one file, the release's manifest, which names all others by digest. A
box installs only what both name alike: `models` says that a release may run at all, `assign` that it shall run there.
Every version but root's is at least the unix time, in seconds, at which it was signed, so that a repository that was
brought back from a backup goes on above what boxes have seen.

A release's `number` grows within its model, release by release. `floor` is the lowest number that may run from this
release on: boxes keep the highest floor they have ever seen, and it is never taken back. A model's document names the
highest beside its releases, so that it holds for boxes to come when the release that brought it is listed no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protos.errors import InvalidManifest
from protos.ids import DeploymentName, Digest, ModelName, Version, digest, hex_of, model_name, version
from protos.manifest import AGENT, MAX_BYTES, TASKS

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
MODELS, ASSIGN = "models", "assign"
ONLINE = (TIMESTAMP, SNAPSHOT, ASSIGN)  # whose keys the control plane holds
SIGNED_AT = "x-longshore-signed-unix"  # in every timestamp: seconds; a box's clock is never before the highest seen
FLOOR = "x-longshore-floor"  # in each model's document: the highest that any of its releases ever had
MOST_BYTES = 5_000_000  # of one document: boxes read no more, whoever says that it is longer
_HIGHEST = 1 << 53
_HASH = "sha256"
_KNOWN = frozenset(
    {"model", "version", "release", "floor", "task", "deviceClasses", "minimumAgent", "signedUnixMs", "signedBy"}
)

Json = dict[str, Any]


def model_role(model: ModelName) -> str:
    return f"model-{model}"


def release_path(model: ModelName, release: Version) -> str:
    return f"models/{model}/{release}"


def assigned_path(deployment: DeploymentName, *, shadow: bool = False) -> str:
    return f"assign/{deployment}/{'shadow' if shadow else 'release'}"


@dataclass(frozen=True)
class Listing:
    """One release as its signers described it: a target of `model-<name>`.

    `device_classes`: such as `x86_64-cpu`, where it may run; empty: anywhere. `minimum_agent`: version, "" for any.
    `signed_ms`: unix, by the signer's clock; `signed_by`: what the signer called himself. Both are for people.
    """

    model: ModelName
    version: Version
    digest: Digest  # of the manifest
    size: int  # bytes of the manifest
    number: int
    task: str
    floor: int = 0
    device_classes: tuple[str, ...] = ()
    minimum_agent: str = ""
    signed_ms: int = 0
    signed_by: str = ""
    unknown: Json = field(default_factory=dict, compare=False)

    @property
    def path(self) -> str:
        return release_path(self.model, self.version)


@dataclass(frozen=True)
class Assignment:
    """What a Deployment shall run: a target of `assign`."""

    deployment: DeploymentName
    model: ModelName
    version: Version
    digest: Digest
    size: int
    shadow: bool = False

    @property
    def path(self) -> str:
        return assigned_path(self.deployment, shadow=self.shadow)


def listing_custom(listing: Listing) -> Json:
    """The fields that TUF calls `custom`; hash and length stand beside them."""
    return listing.unknown | {
        "model": listing.model,
        "version": listing.version,
        "release": listing.number,
        "floor": listing.floor,
        "task": listing.task,
        "deviceClasses": list(listing.device_classes),
        "minimumAgent": listing.minimum_agent,
        "signedUnixMs": listing.signed_ms,
        "signedBy": listing.signed_by,
    }


def listing(path: str, size: int, hashes: Mapping[str, str], custom: Mapping[str, Any]) -> Listing:
    """The target at `path` as a value.

    Raises:
        InvalidManifest: signed, and still not what a signer of ours writes.
    """
    found = Listing(
        model=model_name(_text(custom, "model")),
        version=version(_text(custom, "version")),
        digest=_digest(hashes),
        size=_within(size, "length", MAX_BYTES),
        number=_whole(custom, "release", lowest=1),
        task=_text(custom, "task"),
        floor=_whole(custom, "floor"),
        device_classes=_texts(custom, "deviceClasses"),
        minimum_agent=_text(custom, "minimumAgent"),
        signed_ms=_whole(custom, "signedUnixMs"),
        signed_by=_text(custom, "signedBy"),
        unknown={key: value for key, value in custom.items() if key not in _KNOWN},
    )
    if found.task not in (*TASKS, AGENT):
        raise InvalidManifest(f"signed metadata: task {found.task!r} of {path} is not one that this version knows")
    if found.path != path:
        raise InvalidManifest(f"signed metadata: {path} describes {found.path}")
    return found


def assignment_custom(assignment: Assignment) -> Json:
    return {"model": assignment.model, "version": assignment.version}


def assignment(
    deployment: DeploymentName, size: int, hashes: Mapping[str, str], custom: Mapping[str, Any], *, shadow: bool = False
) -> Assignment:
    """Raises InvalidManifest, InvalidName: signed, and still not what a control plane of ours writes."""
    return Assignment(
        deployment=deployment,
        model=model_name(_text(custom, "model")),
        version=version(_text(custom, "version")),
        digest=_digest(hashes),
        size=_within(size, "length", MAX_BYTES),
        shadow=shadow,
    )


def hashes(value: Digest) -> dict[str, str]:
    return {_HASH: hex_of(value)}


def _digest(found: Mapping[str, str]) -> Digest:
    if _HASH not in found:
        raise InvalidManifest("signed metadata: a target has no SHA-256")
    return digest(f"sha256:{found[_HASH]}")


def _text(custom: Mapping[str, Any], key: str) -> str:
    value = custom.get(key, "")
    if not isinstance(value, str):
        raise InvalidManifest(f"signed metadata: {key!r} must be a string")
    return value


def _texts(custom: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = custom.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidManifest(f"signed metadata: {key!r} must be a list of strings")
    return tuple(value)


def _whole(custom: Mapping[str, Any], key: str, lowest: int = 0) -> int:
    value = custom.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= _HIGHEST:
        raise InvalidManifest(f"signed metadata: {key!r} must be a whole number from {lowest}")
    return value


def _within(value: int, what: str, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidManifest(f"signed metadata: {what} {value} is more than the {most} allowed")
    return value
