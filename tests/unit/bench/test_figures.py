"""What follows from the rounds of a bench, and how it is told."""

from __future__ import annotations

import json

import pytest

from agent.bench.figures import Round, Slice, document, planned, reached
from agent.bench.machine import busy_seconds, cpu_model
from agent.bench.text import bar, milliseconds, text
from agent.telemetry.nodestats import TICKS_PER_SECOND
from tests.sim.benches import bench


def a_round(slower: float, of_raw: float) -> Round:
    """On a machine that is so many times as slow as it could be; the agent reaches that share of raw."""

    def taken(seconds: float, calls: int) -> Slice:
        return Slice((seconds * slower,) * calls, seconds * slower * calls)

    return Round(taken(0.008, 10), taken(0.004, 20), taken(0.008 / of_raw, 10), taken(0.004 / of_raw, 20))


@pytest.mark.parametrize(("seconds", "variants", "rounds"), [(30.0, 1, 5), (30.0, 3, 5), (4.0, 1, 3), (30.0, 9, 3)])
def test_the_time_is_spent_on_a_film_and_on_rounds(seconds: float, variants: int, rounds: int) -> None:
    plan = planned(seconds, variants)
    assert plan.rounds == rounds
    assert plan.film_seconds + variants * plan.rounds * 4 * plan.slice_seconds == pytest.approx(seconds)


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    """Taken of the medians it would be 0.6: other work in the third round would count against the agent."""
    of = reached("fp32", 2, 4, [a_round(1.0, 0.8), a_round(2.0, 0.5), a_round(3.0, 0.9)])
    assert of.of_alone == pytest.approx(0.8)
    assert of.of_many == pytest.approx(0.8)
    assert of.raw_alone.usual == pytest.approx(0.016)
    assert of.raw_many.rate == pytest.approx(125)


def test_the_table_compares_each_variant_with_raw() -> None:
    lines = text(bench("fp32", "int8")).splitlines()
    assert lines[3].split("  ")[0] == "fp32"
    assert lines[3].split()[1:] == ["one", "alone", "9.0", "ms", "13.5", "ms", "10.0", "ms", "15.0", "ms", "90%"]
    assert lines[4].split() == ["4", "at", "once", "111/s", "27.0", "ms", "100/s", "60.0", "ms", "90%"]
    assert lines[5].split()[0] == "int8"


def test_cameras_of_each_variant_are_told_with_bars_of_one_scale() -> None:
    said = text(bench("fp32", "int8"))
    first, second = said.index("cameras that fit with fp32, half"), said.index("with int8, which a box runs, half")
    assert max(map(len, said[first:second].splitlines())) < max(map(len, said[second:].splitlines()))
    assert "10/s  4        250 ms" in said
    assert "decoding 1.0 ms, fitting 0.5 ms of a core" in said


def test_what_makes_figures_doubtful_is_said() -> None:
    said = text(bench(others=0.7, stopped=True, refused=(("fp16", "the model does not load: no"),)))
    assert "had other work (0.7 of 2 cores)" in said
    assert "stopped" in said
    assert "fp16 does not run here: the model does not load: no" in said
    quiet = text(bench(others=0.1))
    assert "other work" not in quiet
    assert "stopped" not in quiet


def test_a_release_that_finds_no_boxes_has_no_cameras() -> None:
    classes = bench(task="classification")
    assert "cameras are not counted" in text(classes)
    assert document(classes)["variants"][0]["cameras"] == []
    assert "decoding" not in text(bench(task="tensor", film=None))


def test_the_document_has_seconds_and_shares() -> None:
    told = json.loads(json.dumps(document(bench("fp32", others=0.5))))
    (variant,) = told["variants"]
    assert told["machine"] == {"cpu": "A CPU", "cores": 2, "otherCores": 0.5, "isBusy": True}
    assert variant["alone"]["agent"]["medianSeconds"] == 0.01
    assert variant["atOnce"]["ofRaw"] == 0.901
    assert [each["rate"] for each in variant["cameras"]] == [1, 2, 5, 10, 15, 25]
    assert variant["fastest"] == 30.0


def test_figures_keep_the_digits_that_count() -> None:
    assert [milliseconds(each) for each in (0.0000421, 0.00123, 0.0456, 1.2345)] == [
        "0.042 ms",
        "1.2 ms",
        "45.6 ms",
        "1234 ms",
    ]


def test_a_bar_is_drawn_in_eighths() -> None:
    assert bar(1, 1) == "█" * 32
    assert bar(1, 256) == "▏"
    assert bar(0, 0) == ""


def test_work_is_counted_on_the_cpus_that_may_be_used() -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 100 100 8 16 32 5 5\ncpu1 64 0 0 0 0 0 0 0 0 0\nintr 1\n"
    assert busy_seconds(stat, {0}) == 63 / TICKS_PER_SECOND
    assert busy_seconds(stat, {0, 1}) == 127 / TICKS_PER_SECOND


def test_a_cpu_without_a_name_has_none() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: A CPU @ 2 GHz\n") == "A CPU @ 2 GHz"
    assert cpu_model("processor\t: 0\nBogoMIPS\t: 50.00\n") == ""
