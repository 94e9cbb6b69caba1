"""Releases as folders on disk, made of the small models in `models`."""

from __future__ import annotations

from pathlib import Path

from protos.ids import digest_of, model_name, version
from protos.manifest import FileEntry, ImageInput, Manifest, Variant, to_bytes
from tests.sim.models import Sample


def release_of(sample: Sample, folder: Path, name: str = "harbour", release_version: str = "1") -> Path:
    """The release folder, with one fp32 variant."""
    wanted, content = sample.spec.input, sample.spec.model
    image = ImageInput("image", wanted.height, wanted.width, wanted.fit, wanted.pad) if wanted else None
    files = (FileEntry("model.onnx", digest_of(content), len(content), "model"),)
    variants = (Variant("fp32", "fp32", "model.onnx"),)
    spec = sample.spec
    manifest = Manifest(model_name(name), version(release_version), spec.task, image, spec.labels, variants, files)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_bytes(to_bytes(manifest))
    return folder
