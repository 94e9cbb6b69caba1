"""Floors: the lowest versions that this box still believes, whatever files say. Pure.

A box keeps the highest version of every role it has proven, the highest signed time, and by model the highest release
floor. The floors of roles and of time hold for one set of online keys: a valid higher root that changes the keys of
timestamp or snapshot lets them begin anew (TUF 5.3.11, recovery from a thief who signed very high versions). Root's
floor and those of releases never begin anew. Floors of another fleet mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec

from agent.trust.errors import Untrusted
from protos.errors import Rejected
from protos.trust import TIMESTAMP

FORMAT = 1
_HIGHEST = 1 << 53  # of versions and times: no clock gives more, and it fits into no report


@dataclass(frozen=True)
class RootFacts:
    """A proven root: its version, and a fingerprint of keys and thresholds of timestamp and snapshot."""

    version: int
    online: str


@dataclass(frozen=True)
class Seen:
    """What one refresh has proven. `roles`: version of each role but root; `signed`: unix seconds, 0 where untold."""

    roles: Mapping[str, int]
    signed: int = 0


@dataclass(frozen=True)
class Floors:
    """`since`: the version of the root that last changed online keys; `roles` and `signed` were proven under them."""

    fleet: str = ""  # SHA-256 of its CA's public key
    root: int = 0
    online: str = ""  # RootFacts.online of that root
    since: int = 0
    roles: dict[str, int] = field(default_factory=dict)
    signed: int = 0  # unix seconds
    releases: dict[str, int] = field(default_factory=dict)  # by model

    @property
    def timestamp(self) -> int:
        return self.roles.get(TIMESTAMP, 0)


def rooted(floors: Floors, roots: Sequence[RootFacts]) -> Floors:
    """`roots`: every proven root from the first trusted to the newest, in order.

    Raises:
        Untrusted: the newest is older than one this box has seen.
    """
    newest = roots[-1].version
    if newest < floors.root:
        raise _rolled_back("root", f"version {newest}", floors.root)
    known = [RootFacts(floors.root, floors.online)] if floors.root else []
    walked = [*known, *(root for root in roots if root.version > floors.root)]
    changed = [after.version for before, after in pairwise(walked) if before.online != after.online]
    if changed:
        floors = replace(floors, since=changed[-1], roles={}, signed=0)
    return replace(floors, root=newest, online=roots[-1].online)


def raised(floors: Floors, seen: Seen) -> Floors:
    """Raises Untrusted, naming the file, when anything is older than its floor, has gone, or is beyond all clocks."""
    for role, number in {**seen.roles, TIMESTAMP: max(seen.signed, seen.roles.get(TIMESTAMP, 0))}.items():
        if number >= _HIGHEST:
            raise Untrusted(f"{role}.json says {number}, which no clock gives; look who signs with online keys")
    for role, floor in floors.roles.items():
        found = seen.roles.get(role, 0)
        if found < floor:
            raise _rolled_back(role, f"version {found}" if found else "gone", floor)
    return replace(floors, roles=dict(seen.roles), signed=max(floors.signed, seen.signed))


def with_release(floors: Floors, model: str, floor: int) -> Floors:
    """`floor`: the highest that proven metadata of this model names."""
    if floor <= floors.releases.get(model, 0):
        return floors
    return replace(floors, releases={**floors.releases, model: floor})


def higher(copies: Iterable[Floors], fleet: str) -> Floors:
    """What counts, of copies of which some may be old: per floor the highest, within the newest set of online keys."""
    floors = Floors(fleet)
    for copy in copies:
        if copy.fleet == fleet:
            floors = _both(floors, copy)
    return floors


def _both(one: Floors, other: Floors) -> Floors:
    newer = max(one, other, key=lambda floors: floors.since)
    alike = one.since == other.since
    latest = max(one, other, key=lambda floors: floors.root)
    return Floors(
        fleet=one.fleet,
        root=latest.root,
        online=latest.online,
        since=newer.since,
        roles=_highest(one.roles, other.roles) if alike else newer.roles,
        signed=max(one.signed, other.signed) if alike else newer.signed,
        releases=_highest(one.releases, other.releases),
    )


def _rolled_back(role: str, found: str, floor: int) -> Untrusted:
    return Untrusted(
        f"{role}.json is {found} and this box has seen version {floor}; nothing is installed from there, and what "
        "answers goes on: look for somebody in between, or for a control plane restored from an old backup"
    )


def _highest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}


class _Stored(msgspec.Struct, frozen=True):
    format: int
    floors: Floors


def to_bytes(floors: Floors) -> bytes:
    return msgspec.json.encode(_Stored(FORMAT, floors), order="deterministic")


def from_bytes(content: bytes) -> Floors:
    """Raises Rejected when these are no floors of this format."""
    try:
        stored = msgspec.json.decode(content, type=_Stored)
    except msgspec.MsgspecError as error:
        raise Rejected(f"floors: not readable ({error})") from error
    if stored.format != FORMAT:
        raise Rejected(f"floors: format {stored.format} is not {FORMAT}; this agent is too old for them")
    return stored.floors
