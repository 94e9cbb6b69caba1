"""Which ONNX file of a release a box runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.update.variants import chosen
from protos.ids import digest_of
from protos.manifest import FileEntry, Variant, parse, release_digest, to_bytes
from tests.sim.releases import MadeRelease, make
from tests.unit.update.conftest import QUAY, Box


def variant(name: str, cost: int | None = None) -> Variant:
    return Variant(name, name, f"{name}.onnx", cost)


@pytest.mark.parametrize(
    ("variants", "provider", "name"),
    [
        ([variant("fp32", 7000), variant("int8", 4000)], "cpu", "int8"),
        ([variant("fp32", 4000), variant("int8", 7000)], "cpu", "fp32"),  # int8 did not pay where it was made
        ([variant("fp32", 4000), variant("int8", 4000)], "cpu", "fp32"),
        ([variant("fp32"), variant("int8")], "cpu", "fp32"),  # nobody measured
        ([variant("fp32", 7000), variant("int8")], "cpu", "fp32"),
        ([variant("fp32", 7000), variant("int8", 4000)], "cuda", "fp32"),
        ([variant("int8", 4000), variant("fp16", 7000)], "tensorrt", "fp16"),
        ([variant("fp32", 4000), variant("fp16", 7000), variant("int8", 2000)], "cuda", "fp16"),
        ([variant("fp32", 4000), variant("fp16", 7000)], "cpu", "fp32"),
        ([variant("int8", 4000)], "cuda", "int8"),
    ],
)
def test_a_cpu_runs_the_cheapest_and_a_gpu_fp16_but_no_int8(variants: list[Variant], provider: str, name: str) -> None:
    assert chosen(variants, provider).name == name


def with_int8(release: MadeRelease, content: bytes) -> MadeRelease:
    """The release with a second ONNX file that costs half."""
    before = parse(release.manifest)
    written = to_bytes(
        replace(
            before,
            variants=(replace(before.variants[0], cost_microseconds=8000), Variant("int8", "int8", "int8.onnx", 4000)),
            files=(*before.files, FileEntry("int8.onnx", digest_of(content), len(content), "model")),
        )
    )
    digest = release_digest(written)
    return MadeRelease(digest, written, content, {**release.blobs, digest_of(content): content, digest: written})


async def test_a_box_warms_the_file_of_the_variant_it_chose(box: Box) -> None:
    release = with_int8(make("1.0.0"), b"the int8 graph")
    await box.install(release)
    assert [loaded.model for loaded in box.serving.loaded(QUAY)] == [digest_of(b"the int8 graph")]


async def test_a_box_tells_which_variant_answers(box: Box) -> None:
    release = with_int8(make("1.0.0"), b"the int8 graph")
    await box.install(release)
    assert box.report.variant == "int8"
