"""Both must agree: what `assign` names for this box, and what release keys have listed, are one and the same. Pure.

Desired state is a hint to go and look. A release is approved when the assignment names the digest that desired state
hints at, the listing names the same digest and length, and the listing's own rules fit: its number is not below the
floor of its model, this box is of one of its device classes, this agent is not too old. Name, version and task are
checked again when the manifest's bytes are there. What is missing may still come (NotYet); what contradicts does not
(NotApproved, with the rule's name).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from agent.providers import OPENVINO
from agent.trust.errors import NotApproved, NotYet
from protos.errors import Rejected
from protos.ids import Digest
from protos.manifest import Manifest
from protos.trust import Assignment, Listing, release_path

_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class Kind:
    """What this box is, to the rules of a listing."""

    device_classes: tuple[str, ...]  # all that it belongs to, such as x86_64-cpu
    agent: str  # version


@dataclass(frozen=True)
class Approval:
    """Leave to run the release of this digest. Made here and nowhere else.

    `listing` None: it was confirmed on this box by an agent that knew no signatures.
    """

    digest: Digest
    listing: Listing | None


@dataclass(frozen=True)
class Found:
    """What verified metadata holds for one deployment. `version`: of the timestamp; `floor`: of the listing's model."""

    path: str
    version: int
    assignment: Assignment | None
    listing: Listing | None
    floor: int = 0


def device_classes(machine: str, provider: str) -> tuple[str, ...]:
    """TensorRT runs wherever CUDA does, and OpenVINO where the processor does."""
    beside = {"tensorrt": ("cuda",), **dict.fromkeys(OPENVINO, ("cpu",))}
    providers = (provider, *beside.get(provider, ()))
    return tuple(f"{machine}-{each}" for each in providers)


def approved(found: Found, digest: Digest, kind: Kind) -> Approval:
    """`digest`: what desired state hints at.

    Raises:
        NotYet: not assigned, or not signed, as of now.
        NotApproved: they contradict each other, or this release may not run here.
    """
    assignment = _assigned(found, digest)
    listing = _listed(found, assignment)
    if (listing.digest, listing.size) != (assignment.digest, assignment.size):
        raise NotApproved(
            "assign-disagrees",
            f"{found.path} names {assignment.digest[:19]}… of {assignment.size} bytes, and release keys signed "
            f"{listing.path} as {listing.digest[:19]}… of {listing.size}; look who signs assignments",
        )
    _check_rules(listing, found.floor, kind)
    return Approval(digest, listing)


def confirmed_before(digest: Digest) -> Approval:
    """For a release that answered on this box before releases were signed: it goes on."""
    return Approval(digest, None)


def ended(approval: Approval, floors: Mapping[str, int]) -> bool:
    """Whether it is below the floor of its model, or cannot be told. `floors`: by model."""
    listing = approval.listing
    return listing is None or listing.number < floors.get(listing.model, 0)


def check(described: Manifest, size: int, approval: Approval) -> None:
    """The manifest, whose digest was proven, is what the listing describes. Raises NotApproved."""
    listing = approval.listing
    if listing is None:
        return
    signed = (listing.model, listing.version, listing.task, listing.size)
    found = (described.name, described.version, described.task, size)
    if signed != found:
        raise NotApproved(
            "manifest-differs",
            f"{listing.path} was signed as {' '.join(map(str, signed))} bytes and its manifest says "
            f"{' '.join(map(str, found))}; package and sign it again under another version",
        )


def _assigned(found: Found, digest: Digest) -> Assignment:
    if found.assignment is None:
        raise NotYet(
            f"not signed: {found.path} is not in the signed metadata (version {found.version}); sign the release with "
            "'longshore sign NAME@VERSION', and it goes on by itself"
        )
    if found.assignment.digest != digest:
        raise NotYet(
            f"{found.path} in the signed metadata (version {found.version}) names {found.assignment.digest[:19]}… and "
            f"desired state {digest[:19]}…; it goes on by itself once they agree"
        )
    return found.assignment


def _listed(found: Found, assignment: Assignment) -> Listing:
    if found.listing is None:
        name = f"{assignment.model}@{assignment.version}"
        raise NotYet(
            f"not signed: {release_path(assignment.model, assignment.version)} is not in the signed metadata (version "
            f"{found.version}); sign it with 'longshore sign {name}', and it goes on by itself"
        )
    return found.listing


def _check_rules(listing: Listing, floor: int, kind: Kind) -> None:
    if listing.number < floor:
        raise NotApproved(
            "release-floor",
            f"{listing.path} is number {listing.number} and this box runs none of {listing.model} below {floor}; "
            "deploy a newer release",
        )
    if listing.device_classes and not set(listing.device_classes) & set(kind.device_classes):
        raise NotApproved(
            "device-class",
            f"{listing.path} is for {', '.join(listing.device_classes)} and this box is {kind.device_classes[0]}; "
            "deploy it where it fits, or sign one for this box",
        )
    if _ordered(kind.agent) < _ordered(listing.minimum_agent):
        raise NotApproved(
            "minimum-agent",
            f"{listing.path} needs agent {listing.minimum_agent} and this is {kind.agent}; update this box's agent",
        )


def _ordered(version: str) -> tuple[int, ...]:
    """Numbers alone, without trailing noughts: 0.3 is 0.3.0."""
    numbers = [int(number) for number in _NUMBERS.findall(version)[:3]]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def to_bytes(approval: Approval) -> bytes:
    known = approval.listing
    return msgspec.json.encode(replace(approval, listing=replace(known, unknown={}) if known else None))


def from_bytes(content: bytes) -> Approval:
    """One that was kept on this box. Raises Rejected when it cannot be read."""
    try:
        return msgspec.json.decode(content, type=Approval)
    except msgspec.MsgspecError as error:
        raise Rejected(f"approval: not readable ({error})") from error
