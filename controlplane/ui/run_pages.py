"""Pages of runs, over the services. The views themselves are pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from controlplane.container import Services
from controlplane.errors import NotFound
from controlplane.training.recipe import Recipe
from controlplane.ui import runs
from controlplane.ui.page import Asked, Crumb, Values, View
from controlplane.ui.shell import Page, each

RUNS = Crumb("Runs", "/runs")
MOST_SHOWN = 100  # newest runs on one page
MOST_POINTS = 300  # of one line
DRAWN_SECONDS = 3.0  # between two plots: a whole progress file is read for one


def list_runs(services: Services, _asked: Asked) -> View:
    found = runs.newest_first(services.training.runs())[:MOST_SHOWN]
    waiting = services.training.waiting()
    values: Values = {}
    for run in found:
        values |= runs.values(run)
    facts = {"lines": [runs.line(run, waiting) for run in found], "trainer": runs.trainer(services.training.trainer())}
    return View("runs.html", "Runs", "runs", facts, values)


class RunPage:
    """Plots are drawn anew each DRAWN_SECONDS, and once more when the run is over."""

    def __init__(self, services: Services, asked: Asked, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._name = asked.name
        self._clock = clock
        self._drawn: Values = {}
        self._drawn_at = float("-inf")
        self._phase = ""

    def __call__(self) -> View:
        """Raises NotFound, Retryable."""
        training = self._services.training
        run = training.run(self._name)
        if run.phase != self._phase or (not run.finished and self._clock() - self._drawn_at >= DRAWN_SECONDS):
            self._phase, self._drawn_at = run.phase, self._clock()
            self._drawn = runs.drawn(training.points(self._name, MOST_POINTS))
        facts: dict[str, Any] = {"run": runs.run(run, training.waiting(), self._defaults(run.recipe))}
        values = {**runs.values(run), **self._drawn}
        return View("run.html", run.name, "runs", facts, values, crumbs=(RUNS,))

    def _defaults(self, recipe: str) -> dict[str, Any]:
        try:
            return {setting.name: setting.default for setting in self._services.training.recipe(recipe).settings}
        except NotFound:
            return {}


def new_run(services: Services, asked: Asked) -> View:
    """The recipes to choose from, or the form of the chosen one; a form is a value, so that nothing replaces it."""
    recipes = services.training.recipes()
    chosen = _chosen(recipes, asked.query.get("recipe", ""))
    form = {
        "recipes": [runs.recipe(each) for each in recipes],
        "chosen": runs.recipe(chosen) if chosen else None,
        "fields": runs.fields(chosen, asked.query) if chosen else [],
        "trainer": runs.trainer(services.training.trainer()),
    }
    title = f"Train {chosen.name}" if chosen else "Train"
    return View("run_form.html", title, "runs", values={"form": form}, crumbs=(RUNS,))


def _chosen(recipes: list[Recipe], name: str) -> Recipe | None:
    return next((each for each in recipes if each.name == name and not each.problem), None)


PAGES = (
    Page("/runs", each(list_runs)),
    Page("/train", each(new_run)),
    Page("/runs/{name}", RunPage),
)
