"""The sample model as several releases: one graph under versions of its own, so that a swap changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from agent.types import ModelInput
from protos import manifest as manifests
from protos.ids import Digest, Version, digest_of
from protos.manifest import Manifest

SAMPLE = Path("models/harbour/release")


@dataclass(frozen=True)
class MadeRelease:
    """`blobs`: everything a box fetches, by digest."""

    digest: Digest
    manifest: Manifest
    blobs: dict[Digest, bytes]


def made(version: str, folder: Path = SAMPLE) -> MadeRelease:
    manifest = replace(manifests.parse((folder / "manifest.json").read_bytes()), version=Version(version))
    written = manifests.to_bytes(manifest)
    files = [(folder / entry.path).read_bytes() for entry in manifest.files]
    digest = manifests.release_digest(written)
    return MadeRelease(digest, manifest, {digest: written, **{digest_of(content): content for content in files}})


def pixels_of(release: MadeRelease) -> ModelInput:
    given = release.manifest.input
    assert given is not None
    return ModelInput(given.height, given.width, given.fit, given.pad)
