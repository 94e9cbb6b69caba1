"""What the pages of runs show, from values, and how often they look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.config import CHECKOUT
from controlplane.training.ports import Trainer
from controlplane.training.progress import Progress
from controlplane.training.recipe import Recipe, Setting
from controlplane.ui import run_pages, runs
from controlplane.ui.page import Asked
from tests.sim import run_data
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    made = SimControlPlane(tmp_path, clock, recipes=CHECKOUT / "models")
    run_data.play(made.services, made.executor)
    yield made
    made.close()


def test_a_list_of_runs_tells_what_each_gave_or_how_far_it_is(plane: SimControlPlane) -> None:
    view = run_pages.list_runs(plane.services, Asked())
    lines = {each["name"]: each for each in view.facts["lines"]}
    assert lines["harbour-1"]["release"] == "boats-1-0-0"
    assert (lines["detector-1"]["is"], lines["harbour-2"]["is"]) == ("failed", "going")
    assert "annotations.json:12" in lines["detector-1"]["why"]
    assert view.values["run.harbour-2.share"] == 62.5
    assert view.values["run.harbour-2.doing"] == "training · epoch 2 of 2 · step 250 of 400"
    assert str(view.values["run.harbour-1.metric"]).startswith("mAP50 0.8")


def test_a_run_that_goes_on_changes_values_and_not_the_shape_of_its_page(plane: SimControlPlane) -> None:
    page = run_pages.RunPage(plane.services, Asked({"name": "harbour-2"}))
    before = page()
    job = plane.executor.jobs["harbour-2"]
    run_data.tell(job, 300)
    run_data.tick(plane.services)
    after = page()
    assert before.shape == after.shape
    assert after.values["run.harbour-2.share"] == 75.0


def test_plots_are_drawn_every_few_seconds_and_once_more_at_the_end(plane: SimControlPlane) -> None:
    now = [0.0]
    page = run_pages.RunPage(plane.services, Asked({"name": "harbour-2"}), clock=lambda: now[0])
    first = page().values["plot.loss"]
    run_data.tell(plane.executor.jobs["harbour-2"], 400)
    assert page().values["plot.loss"] == first
    now[0] = run_pages.DRAWN_SECONDS
    second = page().values["plot.loss"]
    assert second != first
    plane.services.training.cancel("harbour-2")
    run_data.tell(plane.executor.jobs["harbour-2"], 200)
    assert page().values["plot.loss"] != second


def test_time_left_is_told_while_it_trains_and_a_rate_is_known(plane: SimControlPlane) -> None:
    run = plane.services.training.run("harbour-2")
    assert runs.values(run)["run.harbour-2.left"] == ""
    known = replace(run, progress=replace(run.progress, seconds_left=720.0))
    assert runs.values(known)["run.harbour-2.left"] == "about 12 min left"


def test_settings_that_were_set_stand_out_and_can_be_trained_again(plane: SimControlPlane) -> None:
    facts = run_pages.RunPage(plane.services, Asked({"name": "harbour-2"}))().facts["run"]
    assert [each["name"] for each in facts["settings"] if each["changed"]] == ["epochs"]
    form = run_pages.new_run(plane.services, Asked({}, facts["again"])).values["form"]
    assert isinstance(form, dict)
    assert {each["name"]: each["value"] for each in form["fields"]}["epochs"] == "2"


def test_without_a_chosen_recipe_there_are_all_to_choose_from(plane: SimControlPlane) -> None:
    form = run_pages.new_run(plane.services, Asked({}, {"recipe": "none"})).values["form"]
    assert isinstance(form, dict)
    assert form["chosen"] is None
    assert {"harbour", "detector", "classifier"} <= {each["name"] for each in form["recipes"]}


def test_a_broken_recipe_is_shown_with_its_problem_and_cannot_be_chosen() -> None:
    assert runs.recipe(Recipe("bad", "/x", problem="no task"))["problem"] == "no task"
    settings = (Setting("half", default=True, help="h"), Setting("rate", 0.5))
    shown = runs.fields(Recipe("good", "/x", settings=settings), {"set.half": "false"})
    assert [(each["as"], each["value"], each["on"]) for each in shown] == [
        ("boolean", "false", False),
        ("number", "0.5", False),
    ]


def test_a_machine_that_has_to_fetch_first_says_how_much() -> None:
    can = Trainer("local", can_train=True, ready=False, message="m", least_fetch_bytes=700 << 20)
    told = runs.trainer(replace(can, most_fetch_bytes=3 << 30, disk_bytes=6 << 30, free_bytes=90 << 30))
    assert "700 MiB to 3.0 GiB are fetched, up to 6.0 GiB on disk, 90 GiB are free" in told["first"]
    assert runs.trainer(replace(can, ready=True))["first"] == ""


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (12_600, "3.5 h")])
def test_spans_are_coarse(seconds: float, text: str) -> None:
    assert runs.span(seconds) == text


def test_a_phase_without_steps_is_told_by_its_word() -> None:
    assert runs.doing(Progress(phase="export")) == "packaging"
    assert runs.doing(Progress()) == ""
    assert runs.metric(Progress()) == "–"
