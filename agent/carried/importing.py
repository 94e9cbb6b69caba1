"""`longshore-agent import` and `report`: a stick is proven and copied here; the running agent does the rest.

Nothing is copied before all of it is proven as from a network: what the box is told by the fleet's CA, metadata by the
agent's own code against the box's root and floors, files by their digests. The state directory's databases are the
agent's alone; what is written here is `<state>/carried`, which it looks at. An import that breaks off is begun again:
files that were copied whole stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent import signed, stored
from agent.adapters import hold
from agent.adapters.carried_folder import CarriedFolder, FolderMetadata, opened, read_plain
from agent.adapters.owned import Owner
from agent.adapters.state_memory import MemoryState
from agent.adapters.trust_files import TrustFiles
from agent.carried import sealed
from agent.config import AgentConfig
from agent.errors import DiskFull
from agent.identity.store import Identity, Keys
from agent.ports import Clock
from agent.trust import floors
from agent.trust.errors import Absent, NotApproved, NotYet
from agent.trust.kept import FLOORS, KeptFloors
from agent.trust.service import SignedTrust
from agent.update.steps import SPARE_BYTES
from protos import carried, ids, manifest
from protos.errors import Rejected, Retryable
from protos.fleet_pb2 import DesiredState
from protos.ids import DeploymentName, Digest, digest_of, hex_of
from protos.manifest import Manifest


@dataclass(frozen=True)
class Box:
    """This box, as an import sees it beside the agent."""

    config: AgentConfig
    identity: Identity
    keys: Keys
    clock: Clock
    owner: Owner  # of the state directory: with his rights only is anything written there

    @property
    def folder(self) -> CarriedFolder:
        return CarriedFolder(self.config.state_dir)

    def has(self, digest: Digest) -> bool:
        return (self.config.state_dir / "blobs" / "sha256" / hex_of(digest)).is_file() or self.folder.has(digest)

    @property
    def agent(self) -> str:
        """The process id of the running agent, "" when none runs."""
        return hold.holder(self.config.state_dir)


@dataclass(frozen=True)
class Brought:
    """What a stick holds for this box, proven. `releases`: manifests by digest; `notes`: what will wait, and why."""

    state: bytes
    desired: DesiredState
    timestamp: int  # version
    metadata: Mapping[str, bytes]
    releases: Mapping[Digest, Manifest]
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> dict[Digest, int]:
        """With their sizes in bytes, manifests first; 0 of a manifest."""
        found = dict.fromkeys(self.releases, 0)
        return found | {each.digest: each.size for known in self.releases.values() for each in known.files}


def proven(box: Box, stick: Path) -> Brought:
    """Everything but the files' bytes. Changes nothing.

    Raises:
        Rejected: not for this box, not signed, changed, half copied, or older than what the box acts on.
        Untrusted, Stale, Retryable: what the metadata lacks, or the stick.
    """
    listed = _listed(stick)
    state = _state(box, stick)
    desired = sealed.state(state, box.identity, box.keys).desired
    known = stored.desired_state(box.config.state_dir).generation
    if desired.generation < known:
        raise Rejected(
            f"this stick says generation {desired.generation} and this box acts on {known}: it is older; bring a new "
            "'longshore export', after 'longshore import-report' with a report of this box"
        )
    source = FolderMetadata(stick / carried.METADATA)
    timestamp, notes = asyncio.run(_prove_metadata(box, source, desired))
    releases, left_out = _releases(box, stick, desired, listed)
    return Brought(state, desired, timestamp, source.given, releases, (*notes, *left_out))


def _listed(stick: Path) -> frozenset[str]:
    """Names of files that belong to it. Raises Rejected: writing it was not finished."""
    try:
        lines = read_plain(stick / carried.SUMS, 16 << 20).decode(errors="replace").splitlines()
    except Absent:
        raise Rejected(
            f"{stick} is not a finished export ({carried.SUMS} is not there); run 'longshore export' again, or copy "
            "all of its folder"
        ) from None
    return frozenset(line.partition("  ")[2] for line in lines)


def _state(box: Box, stick: Path) -> bytes:
    node = box.identity.member.node_id
    try:
        return read_plain(stick / carried.BOXES / f"{node}{carried.STATE}", carried.MOST_BYTES)
    except Absent:
        raise Rejected(
            f"{stick} holds nothing for this box, {node}; run 'longshore export DIR --node {node}'"
        ) from None


async def _prove_metadata(box: Box, source: FolderMetadata, desired: DesiredState) -> tuple[int, list[str]]:
    """The timestamp's version, and what would not be installed; by the agent's own code, on copies."""
    known = stored.trust(box.config.state_dir).floors
    places = _Copies(TrustFiles(box.config.state_dir / "identity").root())
    state = MemoryState()
    state.put(FLOORS, floors.to_bytes(known))
    kept = KeptFloors(state, places, box.keys.facts(box.identity.ca).public_key)
    with tempfile.TemporaryDirectory() as scratch:
        trust = signed.put_together(Path(scratch), source, kept, places, box.clock, signed.own_kind(box.config))
        try:
            await trust.refresh()
            return kept.now.timestamp, [note async for note in _doubts(trust, desired)]
        finally:
            await trust.close()


async def _doubts(trust: SignedTrust, desired: DesiredState) -> AsyncIterator[str]:
    for name, digest, shadow in _wanted(desired):
        try:
            await trust.approved(name, digest, shadow=shadow)
        except (NotYet, NotApproved) as error:
            yield f"{name}: {error}"


def _wanted(desired: DesiredState) -> Iterator[tuple[DeploymentName, Digest, bool]]:
    """Releases by deployment, and whether it is a shadow. Raises Rejected: a name that is none."""
    for each in desired.deployments:
        name = ids.deployment_name(each.name)
        yield name, ids.digest(each.digest), False
        if each.HasField("shadow"):
            yield name, ids.digest(each.shadow.digest), True


@dataclass
class _Copies:
    """See agent.trust.kept.SecondPlace and agent.trust.service.FirstRoot: nothing lasts."""

    first: bytes
    kept: bytes = field(default=b"")

    def floors(self) -> bytes:
        return self.kept

    def keep_floors(self, content: bytes) -> None:
        self.kept = content

    def root(self) -> bytes:
        return self.first

    def keep_root(self, content: bytes) -> None:
        self.first = content


def _releases(
    box: Box, stick: Path, desired: DesiredState, listed: frozenset[str]
) -> tuple[dict[Digest, Manifest], list[str]]:
    """Manifests of what is on the stick, or here, whole. Raises Rejected: it is half there."""
    found: dict[Digest, Manifest] = {}
    left_out: list[str] = []
    for name, digest, _ in _wanted(desired):
        try:
            content = _manifest(box, stick, digest)
        except Absent:
            if _place(digest) in listed:
                raise Rejected(_half(stick, digest)) from None
            left_out.append(f"{name}: its release {digest[:19]}… is not on this stick; it goes on with what it runs")
            continue
        if digest_of(content) != digest:
            raise Rejected(f"{_place(digest)} on {stick} was changed, or the stick is damaged; export again")
        found[digest] = manifest.parse(content)
        for entry in found[digest].files:
            if not box.has(entry.digest) and not (stick / _place(entry.digest)).exists():
                raise Rejected(_half(stick, entry.digest))
    return found, left_out


def _manifest(box: Box, stick: Path, digest: Digest) -> bytes:
    here = box.config.state_dir / _place(digest)
    with contextlib.suppress(Retryable):
        content = read_plain(here, manifest.MAX_BYTES)
        if digest_of(content) == digest:
            return content
    return read_plain(stick / _place(digest), manifest.MAX_BYTES)


def _place(digest: Digest) -> str:
    return f"{carried.BLOBS}/{hex_of(digest)}"


def _half(stick: Path, digest: Digest) -> str:
    return f"{stick} is half copied: {_place(digest)} is not there; copy all of its folder, or export again"


# ---- copying ----


def take(box: Box, stick: Path, brought: Brought) -> int:
    """Copy what this box lacks, and let the agent see it; bytes copied.

    Raises:
        Rejected: a file is not what its name says. Retryable: the stick went away.
        DiskFull, Fatal: this box's disk.
    """
    folder = box.folder
    with box.owner.rights():
        folder.make()
        _check_links(box)
        folder.keep_only(brought.files)
    missing = {digest: size for digest, size in brought.files.items() if not box.has(digest)}
    _check_room(box, sum(missing.values()))
    for digest in missing:
        source = stick / _place(digest)
        with opened(source) as content, box.owner.rights():
            folder.take(digest, source, content)
    with box.owner.rights():
        folder.keep(brought.state, dict(brought.metadata))
    return sum(missing.values())


def _check_room(box: Box, size: int) -> None:
    """A release lies here twice until it is installed. Raises DiskFull."""
    free = shutil.disk_usage(box.config.state_dir).free
    if size and 2 * size + SPARE_BYTES > free:
        raise DiskFull(
            f"this box needs {(2 * size + SPARE_BYTES) / 2**20:.0f} MiB for what is on the stick and its disk has "
            f"{free / 2**20:.0f} MiB free; free some, and run the same once more: what answers goes on"
        )


def _check_links(box: Box) -> None:
    """To tell of a link before it stands in the way; what is written is safe by the owner's rights.

    Raises Rejected.
    """
    folder = box.folder.path
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            raise Rejected(f"{path} is a link, which this agent never makes; look who did, and remove it")
