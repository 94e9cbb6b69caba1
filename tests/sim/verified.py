"""Releases as they are behind their proof: manifests of sample models that this box believes."""

from __future__ import annotations

from agent.trust.agreement import confirmed_before
from agent.update.verify import VerifiedRelease
from protos.ids import ModelName, Version, digest_of
from protos.manifest import ImageInput, Manifest, Variant
from tests.sim.models import Sample, detector

FP32 = Variant("fp32", "fp32", "model.onnx")
SMALL = detector()


def verified(version: str, sample: Sample = SMALL) -> VerifiedRelease:
    wanted = sample.spec.input
    assert wanted is not None
    manifest = Manifest(
        name=ModelName("harbour"),
        version=Version(version),
        task="detection",
        input=ImageInput("image", wanted.height, wanted.width),
        labels=sample.spec.labels,
        variants=(FP32,),
        files=(),
    )
    return VerifiedRelease(confirmed_before(digest_of(version.encode())), manifest)
