"""The sample model as several releases: one graph under versions of its own, so that a swap changes nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.types import ModelInput
from protos import fleet_pb2 as wire
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


def deployment(
    name: str, release: MadeRelease, cameras: Sequence[str] = (), deadline_ms: int = 1000
) -> wire.DeploymentSpec:
    """As a control plane hands it out."""
    return wire.DeploymentSpec(
        name=name,
        model=release.manifest.name,
        version=release.manifest.version,
        digest=release.digest,
        cameras=cameras,
        deadline_ms=deadline_ms,
        min_score=0.3,
        detections_per_second=1.0,
    )


def pixels_of(release: MadeRelease) -> ModelInput:
    given = release.manifest.input
    assert given is not None
    return ModelInput(given.height, given.width, given.fit, given.pad)
