"""Lighter sizes of a release on a box: fetched and proven with it, loaded beside it, left out where they fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.update.sizes import memory
from agent.update.variants import by_size, chosen, decided, lighter, tried
from protos.ids import digest_of
from protos.manifest import Variant, parse
from protos.problems import NOTICE
from tests.sim.releases import MadeRelease, make, with_lighter
from tests.unit.update.conftest import QUAY, Box

SMALL, TINY = b"the small graph", b"the tiny graph"
FULL = make("1.0.0").model_digest
SIZED = with_lighter(make("1.0.0"), small=SMALL, tiny=TINY)
VARIANTS = (
    Variant("fp32", "fp32", "model.onnx", 7000),
    Variant("small", "fp32", "model-small.onnx", size="small"),
    Variant("int8", "int8", "model-int8.onnx", 4000),
)


def told(box: Box) -> list[str]:
    return [problem.message for problem in box.updater.problems() if problem.code == NOTICE]


async def comes(box: Box, release: MadeRelease) -> None:
    """Offer it, and wait until it is confirmed or refused."""
    box.blobs.add(release)
    box.offer(release)
    await box.until(lambda: box.settled_on(release) or box.report.refused != (), step=1.0)


def test_variants_of_the_full_size_are_chosen_among_themselves() -> None:
    assert [each.name for each in by_size(VARIANTS)["full"]] == ["fp32", "int8"]
    assert [each.name for each in lighter(VARIANTS, "cpu")] == ["small"]
    assert chosen(VARIANTS, "cpu").name == "int8"
    assert [each.name for each in tried(VARIANTS, "cpu")] == ["fp32", "int8"]
    assert decided(VARIANTS, "cpu", {"fp32": 0.001, "int8": 0.01}).name == "fp32"


def test_a_lighter_size_is_never_run_in_place_of_the_full_one_whatever_it_costs() -> None:
    cheap = (VARIANTS[0], replace(VARIANTS[1], cost_microseconds=10))
    assert chosen(cheap, "cpu").name == "fp32"
    assert [each.name for each in tried(cheap, "cpu")] == ["fp32"]


async def test_a_box_loads_the_full_size_and_then_each_lighter_one(box: Box) -> None:
    await box.install(SIZED)
    (loaded,) = box.serving.loaded(QUAY)
    assert (loaded.model, loaded.lighter) == (FULL, (digest_of(SMALL), digest_of(TINY)))
    assert (box.report.variant, told(box)) == ("fp32", [])


async def test_all_sizes_come_back_after_a_power_cut(box: Box) -> None:
    await box.install(SIZED)
    await box.power_cut()
    box.start({QUAY: SIZED.digest})
    await box.until(lambda: box.settled_on(SIZED), step=1.0)
    assert [len(loaded.lighter) for loaded in box.serving.loaded(QUAY)] == [2]


async def test_no_size_runs_whose_file_is_not_what_the_manifest_names(box: Box) -> None:
    box.blobs.add(SIZED)
    box.blobs.wrong[digest_of(SMALL)] = b"not" + SMALL[3:]
    box.offer(SIZED)
    await box.until(lambda: box.report.refused != (), step=1.0)
    assert box.serving.warmed == []


async def test_a_size_whose_file_rots_while_the_release_is_warmed_is_fetched_again_and_not_left_out(box: Box) -> None:
    blob = box.folder / "blobs" / "sha256" / digest_of(SMALL).removeprefix("sha256:")

    def rot(call: str) -> None:
        if call == f"warm {SIZED.digest}" and not box.serving.warmed:
            blob.write_bytes(b"not" + SMALL[3:])

    box.serving.during = rot
    await box.install(SIZED)
    assert (box.blobs.sent[digest_of(SMALL)], told(box)) == (2 * len(SMALL), [])
    assert [len(loaded.lighter) for loaded in box.serving.loaded(QUAY)] == [2]


async def test_a_lighter_size_that_does_not_load_here_is_left_out_and_told(box: Box) -> None:
    box.serving.refuses.add(digest_of(SMALL))
    await comes(box, SIZED)
    assert [loaded.lighter for loaded in box.serving.loaded(QUAY)] == [(digest_of(TINY),)]
    assert told(box) == [
        "quay: its small size is left out here: the simulated engine does not load this graph; it is tried again when "
        "the release is loaded again"
    ]


async def test_where_the_full_size_does_not_load_a_lighter_one_answers_alone(box: Box) -> None:
    box.serving.refuses.add(FULL)
    await comes(box, SIZED)
    (loaded,) = box.serving.loaded(QUAY)
    assert (loaded.model, loaded.lighter) == (digest_of(SMALL), (digest_of(TINY),))
    assert box.report.variant == "small"
    assert "its full size is left out here" in told(box)[0]


async def test_a_release_of_which_no_size_loads_is_refused_for_what_its_full_size_lacks(box: Box) -> None:
    box.serving.refuses |= {FULL, digest_of(SMALL), digest_of(TINY)}
    await comes(box, SIZED)
    assert (box.report.active, told(box)) == ("", [])
    assert "the simulated engine does not load this graph" in box.report.message


@pytest.mark.parametrize("free", [memory(len(SMALL)) - 1, memory(len(SMALL))])
async def test_a_lighter_size_is_loaded_only_where_there_is_memory_for_it(box: Box, free: int) -> None:
    box.free_memory = free
    await box.install(with_lighter(make("1.0.0"), small=SMALL))
    assert [len(loaded.lighter) for loaded in box.serving.loaded(QUAY)] == [free >= memory(len(SMALL))]
    assert len(told(box)) == (free < memory(len(SMALL)))


async def test_what_was_left_out_of_one_release_is_forgotten_with_it(box: Box) -> None:
    box.serving.refuses.add(digest_of(SMALL))
    await box.install(SIZED)
    await box.install(make("1.1.0"))
    assert told(box) == []


async def test_a_release_for_applications_is_loaded_in_its_full_size_only(box: Box) -> None:
    await box.install(with_lighter(make("1.0.0", task="classification"), small=SMALL))
    assert [loaded.lighter for loaded in box.serving.loaded(QUAY)] == [()]


def test_a_manifest_keeps_its_bytes_through_readers_that_know_sizes() -> None:
    assert [each.size for each in parse(SIZED.manifest).variants] == ["", "small", "tiny"]
