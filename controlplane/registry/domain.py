"""What a release is and when one is taken, decided without I/O.

A release is immutable: the same manifest bytes again are the same release, other bytes under the same version are
refused. Every file is there and was hashed before the release exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.errors import Conflict, TooLarge
from protos.errors import Rejected
from protos.ids import Digest, ModelName, Version
from protos.manifest import Manifest

KEEP_UPLOAD_SECONDS = 86_400  # an unfinished one can be resumed for a day
_UNSAFE = re.compile(r"[^a-z0-9-]")


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


def release_name(model: ModelName, version: Version) -> str:
    """`harbour`, `1.0.0` → `harbour-1-0-0`: safe in a URL."""
    return f"{model}-{_UNSAFE.sub('-', version.lower())}"


def check_size(size: int, cap: int) -> None:
    if size > cap:
        raise TooLarge(f"a file of {size} bytes is more than the {cap} allowed; raise --max-file-bytes to take it")
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


def check_files(manifest: Manifest, sizes: Mapping[Digest, int | None], cap: int) -> None:
    """Every file of the manifest is stored in its full size. Raises Rejected, TooLarge."""
    for entry in manifest.files:
        check_size(entry.size, cap)
        stored = sizes.get(entry.digest)
        if stored is None:
            raise Rejected(f"{entry.path} is not here yet; run 'longshore push' again to send it")
        if stored != entry.size:
            raise Rejected(f"the manifest says {entry.size} bytes for {entry.path}, but its content has {stored}")


def model_files(manifest: Manifest) -> dict[str, Digest]:
    """The ONNX files that variants name: path → digest."""
    return {variant.file: manifest.file(variant.file).digest for variant in manifest.variants}
