"""How a box decided over a span, drawn: where frames went, the rung and why, load, link and prices on one axis."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.insights.domain import Latencies, Span, Sums, Window
from controlplane.ui import decided
from controlplane.ui.decided import Step
from protos.decided import RUNGS, Decided

SPAN = Span(0, 20_000, 5_000)
WATCH = "harbour-watch"


def window(end_ms: int, told: dict[str, float], why: str = "", deployment: str = WATCH, up: int = 0) -> Window:
    counts = {"ok_local": round(sum(told.get(each, 0.0) for each in ("local", "small", "cloud", "hedge", "shed")))}
    whose = ("quay", "crane", deployment)
    return Window(end_ms - 2_000, end_ms, counts, *whose, Latencies(), Latencies(), up, {}, told, why)


def drawn(*windows: Window) -> dict[str, Any]:
    steps = decided.of_windows(windows, SPAN).get(WATCH, [])
    values = decided.charts(WATCH, steps, SPAN)
    return {key.removeprefix(f"decided.{WATCH}."): value for key, value in values.items()}


def line(chart: dict[str, Any], name: str) -> list[float | None]:
    return [value for _, value in chart["lines"][name]]


def test_frames_are_drawn_by_where_they_went_as_frames_a_second() -> None:
    found = drawn(window(5_000, {"local": 20, "small": 4}), window(14_000, {"cloud": 10, "shed": 10}))["routes"]
    assert (found["end"], found["step"]) == (20_000, 5_000)
    assert found["columns"] == [{"local": 4.0, "small": 0.8}, {}, {"cloud": 2.0, "shed": 2.0}, {}]


def test_a_window_across_an_edge_counts_on_both_sides_by_its_share() -> None:
    columns = drawn(window(6_000, {"local": 20}))["routes"]["columns"]
    assert columns[:2] == [{"local": 2.0}, {"local": 2.0}]


def test_a_release_of_one_size_draws_no_smaller_one() -> None:
    assert all("small" not in column for column in drawn(window(4_000, {"local": 20}))["routes"]["columns"])


def test_a_step_in_which_nobody_looked_says_nothing() -> None:
    found = drawn(window(3_000, {"local": 1, "looks": 1, "load": 0.5, "rung_cpu": 1}))
    assert line(found["load"], "load") == [50.0, None, None, None]
    assert found["rung"]["cells"][1:] == [None, None, None]


def test_load_and_link_are_means_of_the_looks_and_the_link_only_of_those_that_saw_one() -> None:
    looks = (
        window(1_000, {"looks": 1, "load": 0.5, "links": 1, "link": 6.0}),
        window(2_000, {"looks": 1, "load": 1.5}),
    )
    found = drawn(*looks)
    assert (line(found["load"], "load")[0], line(found["link"], "link")[0]) == (100.0, 6.0)
    assert found["load"]["limit"] == 100


def test_what_was_sent_is_drawn_under_what_the_deployment_may_send() -> None:
    values = decided.charts(WATCH, decided.of_windows([window(4_000, {"cloud": 5}, up=625_000)], SPAN)[WATCH], SPAN)
    offload = {"enabled": True, "uplink": "8Mbit/s"}
    deployment = {"metadata": {"name": WATCH}, "spec": {"offload": offload}}
    (chart,) = decided.limited(values, [deployment]).values()
    assert isinstance(chart, dict)
    assert (line(chart, "uplink")[0], chart["limit"]) == (1.0, 8.0)
    offload["enabled"] = False
    assert decided.limited(values, [deployment]) == {}


def test_what_costs_nothing_has_no_price_and_what_no_cloud_helps_no_link() -> None:
    calm = drawn(window(4_000, {"local": 5, "looks": 1, "load": 0.4, "rung_cpu": 1, "price_bits": 0.004}))
    assert (calm["helped"], calm["priced"]) == (False, False)
    busy = drawn(window(4_000, {"cloud": 5, "looks": 2, "links": 2, "link": 4.0, "price_bits": 0.5}))
    assert (busy["helped"], busy["priced"]) == (True, True)
    assert (line(busy["prices"], "bits")[0], line(busy["prices"], "money")[0]) == (0.25, None)


def test_a_step_stands_on_the_rung_of_most_looks_with_what_the_box_said_of_it_last() -> None:
    found = drawn(
        window(1_000, {"looks": 1, "rung_cpu": 1}, "It runs on cpu, as was asked for."),
        window(2_000, {"looks": 1, "rung_cloud": 1}, "No engine runs here."),
        window(4_000, {"looks": 1, "rung_cloud": 1}, "rtsp://joe:secret@quay/ felled its engine."),
    )["rung"]["cells"]
    assert found[0] == ["cloud", "rtsp://***@quay/ felled its engine."]


def test_of_equal_rungs_the_lower_is_shown() -> None:
    found = drawn(window(1_000, {"looks": 2, "rung_cpu": 1, "rung_nothing": 1}))["rung"]["cells"]
    assert found[0][0] == "nothing"


@pytest.mark.parametrize("rung", RUNGS)
def test_of_what_is_only_added_up_each_rung_says_what_it_means(rung: Decided) -> None:
    sums = Sums({"ok_local": 30}, decided={"looks": 5, "local": 30, rung: 5, "load": 4})
    steps = decided.of_sums([(WATCH, 5_000, sums)], SPAN)[WATCH]
    found = decided.charts(WATCH, steps, SPAN)
    bands, routes = found[f"decided.{WATCH}.rung"], found[f"decided.{WATCH}.routes"]
    assert isinstance(bands, dict)
    assert isinstance(routes, dict)
    (told,) = filter(None, bands["cells"])
    assert told[0] == rung.removeprefix("rung_")
    assert told[1].endswith(".")
    assert routes["columns"][1] == {"local": 6.0}


def test_each_deployment_has_charts_of_its_own() -> None:
    found = decided.of_windows([window(4_000, {"local": 5}), window(4_000, {"cloud": 5}, deployment="gate")], SPAN)
    assert sorted(found) == ["gate", WATCH]


def test_a_deployment_of_which_nothing_is_told_has_empty_columns() -> None:
    found = drawn()
    assert found["routes"]["columns"] == [{}] * 4
    assert found["rung"]["cells"] == [None] * 4
    assert Step(0, Sums()).mean(Decided.LOAD) is None
