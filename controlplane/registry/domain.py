"""What a release is and when one is taken, decided without I/O.

A release is immutable: the same manifest bytes again are the same release, other bytes under the same version are
refused, also after it was deleted. Every file is there and was hashed before the release exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.errors import Conflict, TooLarge
from controlplane.fleet.quantities import about
from protos.errors import Rejected
from protos.ids import Digest, ModelName, Version
from protos.manifest import Manifest, Measured

KEEP_SECONDS = 86_400  # an unfinished upload can be resumed, and a file nobody names be named, for a day
LOOKING = 2  # releases looked into at once: each may take a few times its largest file in memory
_NAMED = 3  # releases in one sentence
MAX_MODEL_BYTES = (1 << 31) - 1  # of one ONNX file: protobuf reads no larger message


@dataclass(frozen=True)
class Upload:
    """A file on its way in."""

    id: str
    digest: Digest
    size: int
    offset: int

    @property
    def complete(self) -> bool:
        return self.offset >= self.size


@dataclass(frozen=True)
class StoredFile:
    path: str
    digest: Digest
    size: int
    role: str


@dataclass(frozen=True)
class StoredRelease:
    """A release as it lies in the database; `manifest` are the very bytes that were pushed."""

    name: str
    model: ModelName
    version: Version
    digest: Digest
    task: str
    files: tuple[StoredFile, ...]
    manifest: bytes
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_ms: int
    measured: Mapping[str, Measured] = field(default_factory=dict)  # by the gate here, file by file

    @property
    def place(self) -> str:
        """Where it stands in lists, oldest first; compares as text."""
        return f"{self.created_ms:015d}/{self.name}"


@dataclass(frozen=True)
class StoredModel:
    """A model with its releases, oldest first."""

    name: str
    uid: str
    created_ms: int
    generation: int
    resource_version: int
    labels: Mapping[str, str]
    releases: tuple[StoredRelease, ...]


@dataclass(frozen=True)
class Named:
    """A file that a release names."""

    release: str
    digest: Digest
    size: int


@dataclass(frozen=True)
class Room:
    """How full the registry is, in bytes. What several releases name counts once."""

    quota: int | None
    named: Sequence[Named]
    uploading: int = 0
    idle: tuple[str, ...] = ()  # releases that nobody runs, oldest first

    @property
    def used(self) -> int:
        return sum({each.digest: each.size for each in self.named}.values()) + self.uploading

    @property
    def crowded(self) -> bool:
        """Whether it may soon matter what could be deleted."""
        return self.quota is not None and 2 * self.used > self.quota

    def freed(self, release: str) -> int:
        """What deleting it would free."""
        others = {each.digest for each in self.named if each.release != release}
        return sum({each.digest: each.size for each in self.named if each.digest not in others}.values())


def check_room(room: Room, more: int) -> None:
    """Raises TooLarge, naming what to delete."""
    if room.quota is None or room.used + more <= room.quota:
        return
    idle = ", ".join(f"{name} ({about(room.freed(name))})" for name in room.idle[:_NAMED])
    delete = f"delete releases that nobody runs, the oldest: {idle}; or" if idle else "every release is in use, so"
    raise TooLarge(
        f"the registry holds {about(room.used)} of the {about(room.quota)} it may, and this needs {about(more)} more; "
        f"{delete} raise registry.quota with 'longshore edit settings fleet'"
    )


def check_unused(release: StoredRelease, deployments: Sequence[str], boxes: Sequence[str]) -> None:
    """`deployments` ask for it, on `boxes` it answers. Raises Conflict when there is any."""
    if deployments:
        raise Conflict(
            f"deployment {deployments[0]} runs release {release.name}; move it to another version or delete it first"
        )
    if boxes:
        raise Conflict(
            f"release {release.name} still answers on {boxes[0]}; wait until that box has moved on, or delete the node "
            "if it is gone"
        )


def check_size(size: int, cap: int) -> None:
    """Both in bytes. Raises TooLarge, Rejected."""
    if size > cap:
        raise TooLarge(
            f"a file of {size} bytes is more than the {cap} allowed; to take it, start the control plane with "
            f"--max-file-bytes {size} (or LONGSHORE_MAX_FILE_BYTES={size})"
        )
    if size < 0:
        raise Rejected("a file's size must be 0 or more bytes")


def check_same(stored: StoredRelease, digest: Digest, version: Version) -> StoredRelease:
    """The stored release, if it is the pushed one. Raises Conflict."""
    if stored.digest == digest:
        return stored
    if stored.version != version:
        raise Conflict(f"release {stored.name} is version {stored.version} already; choose another version")
    raise Conflict(
        f"{stored.model} {stored.version} exists with other content ({stored.digest[:19]}…); releases never change, "
        "so push this one under another version"
    )


def check_deleted(deleted: Digest | None, digest: Digest, model: ModelName, version: Version) -> None:
    """A version keeps its content beyond its deletion: boxes and records know it by that. Raises Conflict."""
    if deleted is not None and deleted != digest:
        raise Conflict(
            f"{model} {version} was deleted and had other content ({deleted[:19]}…); a version is never used twice, so "
            "push this one under another version"
        )


def check_files(manifest: Manifest, sizes: Mapping[Digest, int | None], cap: int) -> None:
    """Every file of the manifest is stored in its full size. Raises Rejected, TooLarge."""
    for entry in manifest.files:
        check_size(entry.size, cap)
        stored = sizes.get(entry.digest)
        if stored is None:
            raise Rejected(f"{entry.path} is not here yet; run 'longshore push' again to send it")
        if stored != entry.size:
            raise Rejected(f"the manifest says {entry.size} bytes for {entry.path}, but its content has {stored}")
    for path in model_files(manifest):
        if manifest.file(path).size > MAX_MODEL_BYTES:
            raise TooLarge(
                f"{path} is an ONNX file of more than {MAX_MODEL_BYTES} bytes, which nothing can read; export a "
                "smaller model, or one of lower precision"
            )


def model_files(manifest: Manifest) -> dict[str, Digest]:
    """The ONNX files that variants name: path → digest."""
    return {variant.file: manifest.file(variant.file).digest for variant in manifest.variants}
