"""What the gate measured at a push is kept, whatever the manifest says of it."""

from __future__ import annotations

from dataclasses import replace

from protos import manifest
from protos.manifest import Measured
from tests.sim.control_plane import SimControlPlane
from tests.sim.releases import MadeRelease, make

BOAST = Measured(1, 1)


def boasting() -> MadeRelease:
    """A release whose manifest says that it needs next to nothing."""
    made = make("1.0.0")
    described = manifest.parse(made.manifest)
    variants = tuple(replace(variant, measured=BOAST) for variant in described.variants)
    content = manifest.to_bytes(replace(described, variants=variants))
    digest = manifest.release_digest(content)
    blobs = {key: value for key, value in made.blobs.items() if key != made.digest}
    return MadeRelease(digest, content, made.model, {**blobs, digest: content})


def test_the_control_plane_counts_what_it_measured_itself(plane: SimControlPlane) -> None:
    stored = plane.push(boasting())
    assert stored.measured == {"model.onnx": plane.inspector.measures}
    assert plane.registry.release(stored.name).measured == {"model.onnx": plane.inspector.measures}
    shown = plane.client.get(f"/api/v1/releases/{stored.name}").json()
    own = plane.inspector.measures
    figures = {"peakBytes": own.peak_bytes, "microseconds": own.microseconds}
    assert shown["status"]["measured"] == {"model.onnx": figures}


def test_what_the_packager_measured_stays_in_the_manifest_as_it_was_written(plane: SimControlPlane) -> None:
    made = boasting()
    stored = plane.push(made)
    assert stored.manifest == made.manifest
    assert manifest.parse(stored.manifest).variants[0].measured == BOAST
