"""What a plan is asked for: read from words, figures and manifests, and turned into a world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.bench.figures import document
from agent.offload.profile import PRIOR
from agent.plan import measured
from agent.plan.measured import Figures
from agent.plan.run import wished
from agent.plan.wish import Wish, bits_per_second, otherwise, scenario, seconds
from agent.simulation.contender import Size
from agent.simulation.world import draw
from protos.errors import Rejected
from protos.judged import Cost, Judged, JudgedJpeg, JudgedVariant
from protos.manifest import Manifest, parse
from tests.sim.benches import bench
from tests.sim.models import detector
from tests.sim.plans import WORDS
from tests.sim.release_folders import release_of


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return release_of(detector(), tmp_path / "release")


def judged(of: Manifest) -> Manifest:
    variant = JudgedVariant("fp32", 0.9, 0.8, ((0.1, 0.2), (0.9, 0.9)), Cost(frame=9_000, call=1_000))
    return replace(of, judged=Judged("mAP50", 64, 200, (variant,), (JudgedJpeg(70, 320, 9_000, 0.9, 0.85),)))


def test_words_are_read_in_the_units_of_a_deployment() -> None:
    assert [seconds(word, "x") for word in ("250ms", "1.5s")] == [0.25, 1.5]
    assert [bits_per_second(word, "x") for word in ("4Mbit/s", "800kbit/s", "0bit/s")] == [4e6, 8e5, 0.0]


@pytest.mark.parametrize("word", ["250", "fast", "4MB/s", "-1s", ""])
def test_a_word_without_its_unit_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(Rejected, match="--deadline must be a duration such as"):
        seconds(word, "--deadline")
    with pytest.raises(Rejected, match="--link must be a rate such as"):
        bits_per_second(word, "--link")


def test_sizes_are_taken_as_told_the_cheapest_first_and_the_budget_is_the_link() -> None:
    wish = wished(WORDS)
    assert wish.box.sizes == (Size("small", 0.012, 0.61), Size("medium", 0.03, 0.76))
    assert (wish.budget, wish.measured) == (wish.link, True)
    assert wished(replace(WORDS, budget="1Mbit/s")).budget == 1e6


def test_a_size_without_its_share_is_a_guess_and_the_wish_says_so() -> None:
    wish = wished(replace(WORDS, sizes=("small=12ms",)))
    assert (wish.box.sizes[0].metric, wish.measured) == (PRIOR.sizes[0].metric, False)


@pytest.mark.parametrize("word", ["small", "small=", "=12ms", "small=12ms:", "small=12ms:2", "small=0ms", "small=12"])
def test_a_size_that_says_nothing_is_refused(word: str) -> None:
    with pytest.raises(Rejected):
        measured.named_sizes([word])


def test_a_size_is_named_once() -> None:
    with pytest.raises(Rejected, match="--size small is given twice"):
        measured.named_sizes(["small=12ms", "medium=20ms", "small=13ms"])


def test_a_budget_of_a_link_that_is_not_there_is_refused() -> None:
    with pytest.raises(Rejected, match=r"--budget 3Mbit/s is of a link, and there is none"):
        wished(replace(WORDS, link="0bit/s", budget="3Mbit/s"))
    wish = wished(replace(WORDS, link="0bit/s", budget="0bit/s"))
    assert (wish.link, wish.budget) == (0.0, 0.0)


def test_a_box_of_which_nothing_is_known_is_refused_with_what_to_give(release: Path) -> None:
    with pytest.raises(Rejected, match="--figures of 'longshore bench' run there, or --size"):
        wished(replace(WORDS, sizes=(), release=release))


def test_an_evaluated_release_tells_what_its_answers_are_worth_and_what_packaging_took(release: Path) -> None:
    of = judged(parse((release / "manifest.json").read_bytes()))
    box, cloud, known = measured.told(of, None, (), 0.02)
    assert (box.sizes, known) == ((Size("fp32", 0.010, 0.8),), True)
    assert [(each.max_side, each.metric) for each in cloud.pictures] == [(320, 0.85)]


def test_what_was_measured_on_the_box_counts_more_than_what_packaging_took(release: Path) -> None:
    of = judged(parse((release / "manifest.json").read_bytes()))
    box, _, _ = measured.told(of, Figures("harbour 1", "fp32", 0.025, 2, 1.3), (), 0.02)
    assert (box.sizes, box.width, box.interference) == ((Size("fp32", 0.025, 0.8),), 2, 1.3)


def test_lighter_sizes_are_chosen_from_where_their_cost_and_worth_are_known(release: Path) -> None:
    of = judged(parse((release / "manifest.json").read_bytes()))
    assert of.judged is not None
    small = JudgedVariant("small", 0.7, 0.6, cost=Cost(frame=3_000, call=1_000))
    sizes = tuple(replace(of.variants[0], name=name, size=name) for name in ("small", "tiny"))
    sized = replace(
        of,
        variants=(*of.variants, *sizes),
        judged=replace(of.judged, variants=(*of.judged.variants, small)),
    )
    box, _, known = measured.told(sized, None, (), 0.02)
    assert (box.sizes, known) == ((Size("small", 0.004, 0.6), Size("fp32", 0.010, 0.8)), True)
    box, _, _ = measured.told(sized, Figures("harbour 1", "fp32", 0.025, 2, 1.3, {"small": 0.008}), (), 0.02)
    assert box.sizes == (Size("small", 0.008, 0.6), Size("fp32", 0.025, 0.8))


def test_figures_of_a_bench_tell_a_frame_alone_and_how_much_calls_at_once_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(document(bench())))
    assert measured.figures(path) == Figures("harbour 1.0.0", "fp32", alone=0.01, width=2, interference=2.0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"chosen": "a", "variants": []}'])
def test_what_holds_no_figures_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(Rejected):
        measured.figures(path)


def test_a_wish_becomes_a_world_of_as_many_frames_as_its_cameras_give() -> None:
    wish = wished(WORDS)
    assert draw(scenario(wish, 10.0), 1).frames == pytest.approx(wish.offered * 10.0, rel=0.02)
    half = draw(scenario(replace(wish, busy=0.5), 200.0), 1).frames
    assert half == pytest.approx(wish.offered * 100.0, rel=0.25)


def test_a_wish_without_a_link_has_none_in_its_world() -> None:
    world = draw(scenario(wished(replace(WORDS, link="0bit/s")), 5.0), 1)
    assert world.trace.capacity(0.0, 5.0) == 0.0


def test_an_unsteady_link_has_about_what_it_is_said_to_have() -> None:
    trace = draw(scenario(replace(wished(WORDS), unsteady=True), 600.0), 1).trace
    assert trace.capacity(0.0, 600.0) / 600.0 == pytest.approx(4e6, rel=0.35)


def test_other_plans_are_other_plans() -> None:
    wish: Wish = wished(WORDS)
    assert all(each != wish for each in otherwise(wish).values())
    alone = otherwise(wished(replace(WORDS, link="0bit/s", cameras=1)))
    assert set(alone) == {"a box twice as fast", "half of the rate"}
