"""Which ONNX file of a release a box runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.update.measured import Measured
from agent.update.variants import chosen, decided, tried
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
        ([variant("fp32", 7000), variant("fp16", 7100), variant("int8", 4000)], "openvino-bf16", "int8"),
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


@pytest.mark.parametrize(
    ("variants", "provider", "names"),
    [
        ([variant("fp32", 7000), variant("int8", 4000)], "cpu", ["fp32", "int8"]),
        ([variant("fp32", 4000), variant("int8", 7000)], "cpu", ["int8", "fp32"]),
        ([variant("fp32", 7000), variant("fp16", 5000), variant("int8", 4000)], "cpu", ["fp32", "int8"]),
        ([variant("fp32", 7000), variant("fp16", 7100)], "cpu", ["fp32"]),
        ([variant("fp32"), variant("int8")], "cpu", ["fp32"]),  # nobody says that they are equals
        ([variant("fp32", 7000), variant("fp16", 7000), variant("int8", 4000)], "cuda", ["fp32", "fp16"]),
        ([variant("fp32", 7000), variant("fp16", 7000)], "tensorrt", ["fp16"]),
    ],
)
def test_a_box_measures_what_is_proposed_against_the_next_best(
    variants: list[Variant], provider: str, names: list[str]
) -> None:
    assert [each.name for each in tried(variants, provider)] == names


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        ({"fp32": 0.020, "int8": 0.010}, "int8"),
        ({"fp32": 0.010, "int8": 0.012}, "fp32"),  # no instructions for int8 here
        ({"fp32": 0.010, "int8": 0.011}, "int8"),  # an accident of a busy machine
        ({"int8": 0.010}, "int8"),  # the other does not load here
        ({}, "int8"),
    ],
)
def test_what_is_clearly_faster_here_wins(seconds: dict[str, float], name: str) -> None:
    assert decided([variant("fp32", 7000), variant("int8", 4000)], "cpu", seconds).name == name


async def test_a_box_warms_the_file_of_the_variant_it_chose(box: Box) -> None:
    release = with_int8(make("1.0.0"), b"the int8 graph")
    await box.install(release)
    assert [loaded.model for loaded in box.serving.loaded(QUAY)] == [digest_of(b"the int8 graph")]


async def test_a_box_tells_which_variant_answers(box: Box) -> None:
    release = with_int8(make("1.0.0"), b"the int8 graph")
    await box.install(release)
    assert box.report.variant == "int8"


INT8 = b"the int8 graph"


async def test_a_box_on_which_int8_is_slower_runs_fp32_and_does_so_after_a_restart(box: Box) -> None:
    release = with_int8(make("1.0.0"), INT8)
    fp32 = make("1.0.0").model_digest
    box.serving.costs = {digest_of(INT8): 0.02, fp32: 0.01}
    await box.install(release)
    assert [loaded.model for loaded in box.serving.loaded(QUAY)] == [fp32]
    assert (box.report.variant, box.serving.warmed) == ("fp32", [fp32, digest_of(INT8), fp32])
    await box.power_cut()
    box.start({QUAY: release.digest})
    await box.until(lambda: box.settled_on(release), step=1.0)
    assert box.serving.warmed == [fp32], "what was measured is known, and nothing is measured while nothing answers"


async def test_what_is_proposed_is_loaded_once_when_it_wins(box: Box) -> None:
    release = with_int8(make("1.0.0"), INT8)
    fp32 = make("1.0.0").model_digest
    box.serving.costs = {digest_of(INT8): 0.01, fp32: 0.02}
    await box.install(release)
    assert box.serving.warmed == [fp32, digest_of(INT8)]


async def test_a_variant_that_does_not_load_here_is_passed_over(box: Box) -> None:
    release = with_int8(make("1.0.0"), INT8)
    box.serving.refuses.add(make("1.0.0").model_digest)
    await box.install(release)
    assert box.report.variant == "int8"


async def test_what_was_measured_goes_with_its_release(box: Box) -> None:
    await box.install(with_int8(make("1.0.0"), INT8))
    for version in ("1.1.0", "1.2.0"):
        await box.install(make(version))
    assert list(Measured(box.state, "cpu")) == []


async def test_what_another_provider_measured_is_unknown(box: Box) -> None:
    digest = make("1.0.0").digest
    Measured(box.state, "cpu")[digest] = {"fp32": 0.1}
    assert Measured(box.state, "cpu")[digest] == {"fp32": 0.1}
    assert Measured(box.state, "cuda").get(digest) is None
