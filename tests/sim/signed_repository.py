"""A repository of signed metadata with all of its keys, and what a thief of some of them can do.

`files` is what is served. Nothing is published by itself: change `roles`, then `publish`. Times are of the real clock,
which the library reads, plus `ahead` seconds; a box whose clock is wrong is one whose repository is.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from agent.trust.errors import Absent
from protos import trust as names
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest, ModelName, Version, hex_of
from protos.trust import Assignment, Listing
from tests.sim.releases import MadeRelease

QUAY = DeploymentName("quay")
DAYS = {"root": 365, "targets": 365, "models": 90, "model-harbour": 90, "snapshot": 30, "assign": 7, "timestamp": 1}
UNLISTED = ("root", "snapshot", "timestamp")
SIGNED = ("targets", "models", "model-harbour", "assign")  # those whose versions a snapshot names
LIFE_DAYS = 90  # of a role that is not named above


@dataclass
class SignedRepository:
    """One model, `harbour`, until another is listed."""

    ahead: float = 0.0  # seconds
    files: dict[str, bytes] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)  # name -> Signed
    keys: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    trouble: dict[str, LongshoreError] = field(default_factory=dict)  # by file
    away: LongshoreError | None = None
    ready: bool = True
    slow: bool = False  # nothing ever comes
    _number: int = 0

    def __post_init__(self) -> None:
        self.keys = {role: [CryptoSigner.generate_ed25519()] for role in DAYS}
        self.roles = {
            "root": Root(expires=self._expires("root"), consistent_snapshot=True),
            "targets": self._targets("targets"),
            "models": self._targets("models"),
            "model-harbour": self._targets("model-harbour"),
            "assign": self._targets("assign"),
            "snapshot": Snapshot(expires=self._expires("snapshot")),
            "timestamp": Timestamp(expires=self._expires("timestamp")),
        }
        for role in ("root", "timestamp", "snapshot", "targets"):
            self.roles["root"].add_key(self.keys[role][0].public_key, role)
        self._delegate("targets", "models", ["models/*/*"])
        self._delegate("targets", "assign", ["assign/*/*"])
        self._delegate("models", "model-harbour", ["models/harbour/*"])
        self.write_root()
        for role in SIGNED:
            self.write(role)
        self.publish()

    async def get(self, name: str, most: int) -> bytes:
        """See agent.trust.metadata.MetadataSource."""
        self.asked.append(name)
        if self.slow:
            await asyncio.Event().wait()
        if error := self.trouble.get(name, self.away):
            raise error
        if name not in self.files:
            raise Absent(f"no {name}")
        if len(self.files[name]) > most:
            raise LongshoreError(f"{name} is longer than {most}")
        return self.files[name]

    # ---- what owners do ----

    @property
    def first_root(self) -> bytes:
        return self.files["1.root.json"]

    def listed(self, release: MadeRelease, version: str, **more: Any) -> Listing:
        """Sign a release of `harbour`; `more`: fields of its listing."""
        known = {"model": ModelName("harbour"), "version": Version(version), "task": "detection"} | more
        return self.describe(release.digest, len(release.manifest), **known)

    def describe(self, digest: Digest, size: int, **known: Any) -> Listing:
        """Sign whatever is described so."""
        self._number = known.pop("number", self._number + 1)
        listing = Listing(digest=digest, size=size, number=self._number, **known)
        role = names.model_role(listing.model)
        if role not in self.roles:
            self._new_model(role, f"models/{listing.model}/*")
        target = TargetFile(listing.size, names.hashes(listing.digest), listing.path)
        target.unrecognized_fields["custom"] = names.listing_custom(listing)
        self.roles[role].targets[listing.path] = target
        self.write(role)
        return listing

    def assign(self, listing: Listing, deployment: DeploymentName = QUAY, *, shadow: bool = False) -> None:
        assignment = Assignment(deployment, listing.model, listing.version, listing.digest, listing.size, shadow)
        target = TargetFile(assignment.size, {"sha256": hex_of(assignment.digest)}, assignment.path)
        target.unrecognized_fields["custom"] = names.assignment_custom(assignment)
        self.roles["assign"].targets[assignment.path] = target
        self.write("assign")

    def deploy(self, release: MadeRelease, version: str, **more: Any) -> Listing:
        """Listed, assigned and published."""
        listing = self.listed(release, version, **more)
        self.assign(listing)
        self.publish()
        return listing

    def write(self, role: str, **to: Any) -> None:
        """Sign it as the next version (`version=`: as that one) with its keys (`keys=`: with those)."""
        signed = self.roles[role]
        signed.version = to.pop("version", signed.version + (f"{signed.version}.{role}.json" in self.files))
        self.files[f"{signed.version}.{role}.json"] = self.signed(role, **to)

    def signed(self, role: str, keys: Iterable[CryptoSigner] | None = None) -> bytes:
        metadata = Metadata(copy.deepcopy(self.roles[role]))
        for key in self.keys[role] if keys is None else keys:
            metadata.sign(key, append=True)
        return metadata.to_bytes()

    def write_root(self, *, also: Iterable[CryptoSigner] = ()) -> None:
        """The next root; `also`: keys of the one before, where they were changed."""
        root = self.roles["root"]
        root.version += "1.root.json" in self.files
        content = self.signed("root", [*self.keys["root"], *also])
        self.files |= {f"{root.version}.root.json": content, "root.json": content}

    def rotate(self, *roles: str) -> dict[str, list[CryptoSigner]]:
        """New keys for these, and a root that says so; the old ones, as a thief has them."""
        old = {role: self.keys[role] for role in roles}
        for role in roles:
            for key in old[role]:
                self.roles["root"].revoke_key(key.public_key.keyid, role)
            self.keys[role] = [CryptoSigner.generate_ed25519()]
            self.roles["root"].add_key(self.keys[role][0].public_key, role)
        self.write_root(also=old.get("root", ()))
        return old

    def publish(self, **to: Any) -> None:
        """Snapshot and timestamp anew, of whatever lies in `roles`."""
        snapshot, timestamp = self.roles["snapshot"], self.roles["timestamp"]
        snapshot.meta = {f"{role}.json": self._meta(role) for role in self.roles if role not in UNLISTED}
        self.write("snapshot", **{key: value for key, value in to.items() if key == "keys"})
        timestamp.snapshot_meta = self._meta("snapshot")
        self.stamp(**to)

    def stamp(self, keys: Iterable[CryptoSigner] | None = None) -> None:
        timestamp = self.roles["timestamp"]
        timestamp.version += "timestamp.json" in self.files
        timestamp.unrecognized_fields[names.SIGNED_AT] = int(self.now)
        self.files["timestamp.json"] = self.signed("timestamp", keys)

    @property
    def now(self) -> float:
        return time.time() + self.ahead

    def renew(self) -> None:
        """Everything as of now, and published."""
        for role in SIGNED:
            self.roles[role].expires = self._expires(role)
            self.write(role)
        for role in ("snapshot", "timestamp"):
            self.roles[role].expires = self._expires(role)
        self.publish()

    # ---- inside ----

    def _meta(self, role: str) -> MetaFile:
        version = self.roles[role].version
        return MetaFile.from_data(version, self.files[f"{version}.{role}.json"], ["sha256"])

    def _expires(self, role: str) -> datetime:
        return (datetime.fromtimestamp(self.now, UTC) + timedelta(days=DAYS.get(role, LIFE_DAYS))).replace(
            microsecond=0
        )

    def _targets(self, role: str) -> Targets:
        return Targets(1, None, self._expires(role))

    def _new_model(self, role: str, path: str) -> None:
        self.keys[role] = [CryptoSigner.generate_ed25519()]
        self.roles[role] = self._targets(role)
        self._delegate("models", role, [path])
        self.write("models")

    def _delegate(self, parent: str, role: str, paths: list[str]) -> None:
        signed = self.roles[parent]
        signed.delegations = signed.delegations or Delegations({}, {})
        signed.delegations.roles[role] = DelegatedRole(role, [], 1, True, paths=paths)
        signed.add_key(self.keys[role][0].public_key, role)
