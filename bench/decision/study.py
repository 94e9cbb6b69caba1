"""Many seeds of many scenarios, each contender in each: what they reached, beside the optimum. Processes side by side.

A task is one world. What comes back are rows of plain figures; `summed` makes of them means with a 95 % interval, by
resampling the seeds (percentile bootstrap, Efron 1979).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from agent.simulation.contender import Maker
from agent.simulation.drive import play
from agent.simulation.meter import Figures, measured
from agent.simulation.ourselves import ABLATIONS, maker
from agent.simulation.world import World, draw, known
from bench.decision.optimum import optimum
from bench.decision.rivals import named
from bench.decision.scenarios import CALIBRATION, SCENARIOS

OURS = "longshore"
EVERYWHERE = ("newest-small", "guarded", "static-in-budget")  # rivals that are shown in each scenario
OVER = 1.05  # times the budget, that any minute may take
RESAMPLED = 2000
BOUNDED = frozenset({"calibration", "capped"})
JUDGED = frozenset({"calibration", "capped", "mixed", "cut-off", "cameras-16"})  # in `goals`
Row = dict[str, float]  # one contender in one world


@dataclass(frozen=True)
class Task:
    scenario: str
    seed: int
    contenders: tuple[str, ...]
    bounds: bool  # those beside the usual one, too: with difficulty, and of the box alone


@dataclass(frozen=True)
class Done:
    task: Task
    rows: dict[str, Row]
    outcomes: dict[str, dict[str, int]]
    answers: dict[str, dict[str, int]]
    bounds: Row


def tasks(scenarios: Iterable[str], seeds: int, *, whole: bool = True) -> list[Task]:
    """`seeds` of each that has a goal of its own, half as many of the others.

    `whole`: all rivals and ablations in the calibration scenario, and the bounds that take long.
    """
    return [
        Task(name, seed, _contenders(name, whole=whole), bounds=whole and name in BOUNDED)
        for name in scenarios
        for seed in range(1, 1 + (seeds if name in JUDGED else max(2, seeds // 2)))
    ]


def _contenders(scenario: str, *, whole: bool) -> tuple[str, ...]:
    if not whole:
        return (OURS,)
    if scenario == CALIBRATION.name:
        return (OURS, *ABLATIONS, *named.FIXED, *LEARNED)
    if scenario == "mixed":
        return (OURS, "FIFO", "whole backlog counts", *EVERYWHERE)
    return (OURS, *EVERYWHERE)


LEARNED = ("static", "static-in-budget", "token-dqn")
_TRAINED: dict[str, Maker] = {}  # of this process


def made(name: str) -> Maker:
    """A contender by its name. Those that learn see the training world of the calibration scenario first, once."""
    if name == OURS:
        return maker()
    if name in ABLATIONS:
        return maker(ABLATIONS[name])
    if name in named.FIXED:
        return named.FIXED[name]
    if not _TRAINED:
        _TRAINED.update(named.trained(CALIBRATION))
    return _TRAINED[name]


def asked(task: Task) -> Done:
    """One world, all its contenders."""
    return met(draw(SCENARIOS[task.scenario], task.seed), task)


def met(world: World, task: Task) -> Done:
    """The same of a world that is there already."""
    scenario = world.scenario
    bounds = _bounds(world, more=task.bounds)
    figures = {name: measured(world, play(world, made(name)(known(scenario), task.seed))) for name in task.contenders}
    rows = {
        name: _row(world, each, bounds, used=name == OURS and task.scenario in BOUNDED)
        for name, each in figures.items()
    }
    outcomes = {name: each.outcomes for name, each in figures.items()}
    return Done(task, rows, outcomes, {name: each.answers for name, each in figures.items()}, bounds)


def _bounds(world: World, *, more: bool) -> Row:
    budget = world.scenario.budget
    bounds = {
        "optimum": optimum(world, budget, knows_difficulty=False).useful,
        "local optimum": optimum(world, 0.0, knows_difficulty=False).useful,
    }
    if more:
        bounds["optimum with difficulty"] = optimum(world, budget, knows_difficulty=True).useful
        bounds["local optimum with difficulty"] = optimum(world, 0.0, knows_difficulty=True).useful
    return bounds


def _row(world: World, figures: Figures, bounds: Row, *, used: bool) -> Row:
    row: Row = {name: float(value) for name, value in asdict(figures).items() if isinstance(value, int | float)}
    row["over_budget"] = figures.window_mbit_s * 1e6 / (OVER * world.scenario.budget)
    row["of_optimum"] = figures.useful / bounds["optimum"]
    row["of_local_optimum"] = figures.useful / bounds["local optimum"]
    if "optimum with difficulty" in bounds:
        row["of_optimum_with_difficulty"] = figures.useful / bounds["optimum with difficulty"]
    if used:
        row["of_optimum_at_used"] = figures.useful / optimum(world, figures.mbit_s * 1e6, knows_difficulty=False).useful
    return row


def run(todo: Sequence[Task], workers: int | None = None) -> list[Done]:
    """In order of `todo`, a few at once."""
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(todo) == 1:
        return [asked(task) for task in todo]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(asked, todo))


@dataclass(frozen=True)
class Mean:
    """Over seeds, with a 95 % interval of it, and both ends of what was seen."""

    mean: float
    low: float
    high: float
    least: float
    most: float


def summed(values: Sequence[float]) -> Mean:
    seen = np.array(values)
    rng = np.random.default_rng(1)
    means = seen[rng.integers(len(seen), size=(RESAMPLED, len(seen)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Mean(float(seen.mean()), float(low), float(high), float(seen.min()), float(seen.max()))


def means(done: Sequence[Done]) -> dict[str, dict[str, dict[str, Mean]]]:
    """By scenario, contender and figure."""
    rows: dict[str, dict[str, list[Row]]] = {}
    for each in done:
        for name, row in each.rows.items():
            rows.setdefault(each.task.scenario, {}).setdefault(name, []).append(row)
    return {
        scenario: {name: {of: summed([row[of] for row in seen]) for of in seen[0]} for name, seen in by.items()}
        for scenario, by in rows.items()
    }


def bounds(done: Sequence[Done]) -> dict[str, dict[str, Mean]]:
    """By scenario and bound."""
    found: dict[str, list[Row]] = {}
    for each in done:
        found.setdefault(each.task.scenario, []).append(each.bounds)
    return {scenario: {of: summed([row[of] for row in seen]) for of in seen[0]} for scenario, seen in found.items()}
