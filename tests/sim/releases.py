"""Small releases, made from a seed: what a control plane would hand out, as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from protos import manifest
from protos.ids import Digest, ModelName, Version, digest_of
from protos.manifest import FileEntry, ImageInput, Manifest, Variant


@dataclass(frozen=True)
class MadeRelease:
    digest: Digest
    manifest: bytes
    model: bytes
    blobs: dict[Digest, bytes]

    @property
    def model_digest(self) -> Digest:
        return digest_of(self.model)

    @property
    def total(self) -> int:
        return sum(len(content) for content in self.blobs.values()) - len(self.manifest)


def content(seed: str, size: int) -> bytes:
    """`size` bytes that look random and are always the same."""
    return hashlib.shake_128(seed.encode()).digest(size)


def make(
    version: str, size: int = 60_000, name: str = "harbour", task: str = "detection", model: bytes | None = None
) -> MadeRelease:
    """A release of one model file, a labels file shared by all versions, and a card."""
    files = {
        "model.onnx": ("model", content(f"{name} {version}", size) if model is None else model),
        "labels.txt": ("labels", b"boat\ncontainer\n"),
        "card.md": ("card", f"# {name} {version}\n".encode()),
    }
    described = Manifest(
        name=ModelName(name),
        version=Version(version),
        task=task,
        input=ImageInput("image", 320, 320),
        labels=("boat", "container"),
        variants=(Variant("fp32", "fp32", "model.onnx"),),
        files=tuple(FileEntry(path, digest_of(body), len(body), role) for path, (role, body) in files.items()),
    )
    written = manifest.to_bytes(described)
    blobs = {digest_of(body): body for _, body in files.values()}
    digest = manifest.release_digest(written)
    return MadeRelease(digest, written, files["model.onnx"][1], {**blobs, digest: written})


def of_files(entries: Iterable[FileEntry], blobs: Mapping[Digest, bytes]) -> MadeRelease:
    """A release of these files, the first of which is its model."""
    files = tuple(entries)
    described = Manifest(
        name=ModelName("harbour"),
        version=Version("1.0.0"),
        task="detection",
        input=ImageInput("image", 320, 320),
        labels=("boat",),
        variants=(Variant("fp32", "fp32", files[0].path),),
        files=files,
    )
    written = manifest.to_bytes(described)
    digest = manifest.release_digest(written)
    return MadeRelease(digest, written, blobs[files[0].digest], {**blobs, digest: written})


def with_lighter(release: MadeRelease, **lighter: bytes) -> MadeRelease:
    """The release with these models as lighter sizes, by name."""
    before = manifest.parse(release.manifest)
    variants = tuple(Variant(name, "fp32", f"model-{name}.onnx", size=name) for name in lighter)
    files = tuple(
        FileEntry(f"model-{name}.onnx", digest_of(body), len(body), "model") for name, body in lighter.items()
    )
    described = replace(before, variants=(*before.variants, *variants), files=(*before.files, *files))
    written = manifest.to_bytes(described)
    digest = manifest.release_digest(written)
    blobs = {digest_of(body): body for body in lighter.values()}
    return MadeRelease(digest, written, release.model, {**release.blobs, **blobs, digest: written})
