"""A release folder on this machine, read for a look at it: `try` and `predict`. Every file is proven before it is used.

A box that is in a fleet never comes here: its releases lie in its store, under their digests (`update`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.inference import runtime
from agent.ports import EngineSpec
from agent.types import ModelInput
from agent.update.variants import chosen
from protos import manifest as manifests
from protos.errors import Fatal, Rejected
from protos.ids import digest_of
from protos.manifest import FileEntry, Manifest, Variant

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ReleaseFolder:
    """What lies there, and what an engine loads of it."""

    manifest: Manifest
    variant: Variant
    spec: EngineSpec

    @property
    def title(self) -> str:
        return f"{self.manifest.name} {self.manifest.version}"


def opened(folder: Path, variant: str = "", threads: int = 0) -> ReleaseFolder:
    """The variant of that name, or the one that this machine's processor should run.

    Raises:
        Rejected: no release, a damaged one, or no such variant.
        Fatal: no fitting ONNX Runtime is installed.
    """
    if trouble := runtime.trouble(runtime.installed()):
        raise Fatal(trouble)
    if folder.is_dir() and not (folder / MANIFEST).is_file():
        raise Rejected(f"{folder} is no release: it holds no {MANIFEST}; make one with 'longshore package'")
    content = _read(folder / MANIFEST)
    manifest = manifests.parse(content)
    files = {entry.path: _proven(folder, entry) for entry in manifest.files}
    chosen = _chosen(manifest, variant)
    digest = manifests.release_digest(content)
    spec = EngineSpec(digest, manifest.task, manifest.labels, _wanted(manifest), files[chosen.file], threads=threads)
    return ReleaseFolder(manifest, chosen, spec)


def _chosen(manifest: Manifest, name: str) -> Variant:
    if not name:
        return chosen(manifest.variants, "cpu")
    named = {variant.name: variant for variant in manifest.variants}
    if name not in named:
        raise Rejected(f"{manifest.name} {manifest.version} has no variant {name!r}; it has {', '.join(named)}")
    return named[name]


def _wanted(manifest: Manifest) -> ModelInput | None:
    image = manifest.input
    return ModelInput(image.height, image.width, image.fit, image.pad) if image else None


def _proven(folder: Path, entry: FileEntry) -> bytes:
    content = _read(folder / entry.path)
    if len(content) != entry.size or digest_of(content) != entry.digest:
        raise Rejected(f"{folder / entry.path} is not the file its manifest names; fetch or package it again")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from error
