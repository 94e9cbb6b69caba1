"""What one signed document says, as a value, and the numbers that all signers share. Pure.

`signed_by` are those keys of the role that really signed it, by the delegator it was read with; no
other signature counts. Moments are whole Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from protos import trust
from protos.trust import Assignment, Listing

DAY = 86_400
TOLERANCE = 3600  # seconds that clocks of signers may differ
LAST_NUMBER = "x-longshore-last-release"  # in each model's document
RELEASE = "release"  # what people call the keys of `models` and all below it
PATHS = {trust.MODELS: ("models/*/*",), trust.ASSIGN: ("assign/*/*",)}
_LIFETIMES = {
    trust.ROOT: 365 * DAY,
    trust.TARGETS: 365 * DAY,
}
_RELEASE_LIFETIME = 90 * DAY


@dataclass(frozen=True)
class Keys:
    """Who may sign a role: ids of keys, and how many of them are needed."""

    ids: frozenset[str] = frozenset()
    threshold: int = 1


@dataclass(frozen=True)
class Document:
    """One version of one role."""

    role: str
    version: int
    expires: int
    signed_by: frozenset[str] = frozenset()
    threshold: int = 1
    delegated: Mapping[str, Keys] = field(default_factory=dict)  # by role; of root and of `models`
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what each delegated role may name
    listings: tuple[Listing, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    last_number: int = 0  # the highest that this model ever gave to a release
    floor: int = 0  # the highest that a release of this model ever had
    size: int = 0  # bytes
    named: Mapping[str, int] = field(default_factory=dict)  # role → version: of snapshot and timestamp
    stray: tuple[str, ...] = ()  # targets that have no place in this role

    @property
    def verified(self) -> bool:
        return len(self.signed_by) >= self.threshold

    def due(self, now: int, seconds: int | None = None) -> bool:
        """From half of its life on it is to be signed anew, so that a signer who fails has as long again to mend it.

        `seconds`: its life, where that is configured. What is good for longer than its life is due as well: that was
        shortened, or a clock was ahead.
        """
        life, left = seconds or lifetime(self.role), self.expires - now
        return left <= life // 2 or left > life + TOLERANCE


def lifetime(role: str) -> int:
    """Seconds that a version of an offline `role` is good for new installs; it never stops what runs."""
    return _LIFETIMES.get(role, _RELEASE_LIFETIME)


def next_version(role: str, last: int, now: int) -> int:
    """Root counts; all others are at least the time, so that a repository brought back goes on above what was seen."""
    return last + 1 if role == trust.ROOT else max(last + 1, now)


def delegator(role: str) -> str:
    """Whose document says who may sign `role`."""
    if role in (trust.MODELS, trust.ASSIGN):
        return trust.TARGETS
    return trust.MODELS if is_model(role) else trust.ROOT


def is_model(role: str) -> bool:
    return role.startswith("model-")


def model_paths(role: str) -> tuple[str, ...]:
    return (f"models/{role.removeprefix('model-')}/*",)


def within(path: str, patterns: tuple[str, ...]) -> bool:
    """As TUF matches them: `*` stops at a slash."""
    parts = path.split("/")
    return any(
        len(parts) == len(pattern.split("/")) and all(map(fnmatchcase, parts, pattern.split("/")))
        for pattern in patterns
    )


def in_words(listing: Listing) -> str:
    """Who listed it as what and on which terms, to follow "signed as"."""
    said = [
        f"number {listing.number} of {listing.model} by {listing.signed_by}",
        f"floor {listing.floor}" if listing.floor else "",
        f"for {', '.join(listing.device_classes)}" if listing.device_classes else "",
        f"agents from {listing.minimum_agent}" if listing.minimum_agent else "",
    ]
    return ", ".join(filter(None, said))


def file_name(role: str, version: int) -> str:
    """As clients ask for it: TUF's consistent snapshots."""
    return f"{role}.json" if role == trust.TIMESTAMP else f"{version}.{role}.json"
