"""Weights of the tuner by the cross-entropy method, in the simulator, from one seed (de Boer et al., 2005).

Each round draws weights from a normal distribution, plays all of them on the same few worlds, and fits the distribution
to the best quarter. What counts is what is useful beyond the analytic gains in the same world, less twice what is in
time less often: the bar is more of the one at no less of the other. Worlds change from round to round, and the verdict
is spoken on none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agent.offload.tuner import FEATURES, Weights
from agent.simulation.contender import Maker
from agent.simulation.drive import play
from agent.simulation.meter import measured
from agent.simulation.ourselves import maker as analytic
from agent.simulation.world import World, draw, known
from bench.decision.scenarios import SCENARIOS
from bench.decision.tuning.contender import maker

KINDS = ("calibration", "burst-1.5", "mobile", "overload-2")
FIRST_SEED = 5_000  # of training; a verdict's are far below
FIRST_SPREAD = 0.6
LEAST_SPREAD = 0.05
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    rounds: int = 5
    drawn: int = 10  # weights a round
    kept: int = 3
    worlds: int = 4  # a round: one of each kind
    seconds: float = 30.0  # of each


@dataclass(frozen=True)
class Reached:
    """Shares of what was offered."""

    useful: float
    on_time: float
    late: float


@dataclass(frozen=True)
class Round:
    """`best` and `mean`: of the score of the kept, in shares."""

    best: float
    mean: float
    spread: float


def worlds(number: int, effort: Effort) -> list[World]:
    """Of one round."""
    first = number * effort.worlds
    return [
        world(KINDS[each % len(KINDS)], FIRST_SEED + each, effort.seconds)
        for each in range(first, first + effort.worlds)
    ]


def world(kind: str, seed: int, seconds: float) -> World:
    return draw(replace(SCENARIOS[kind], seconds=seconds), seed)


def reached(of: World, made: Maker) -> Reached:
    figures = measured(of, play(of, made(known(of.scenario), of.seed)))
    return Reached(figures.useful, figures.on_time, figures.late)


def score(tuned: Reached, plain: Reached) -> float:
    """What is gained; a frame less in time costs twice what a useful one brings."""
    return tuned.useful - plain.useful - 2.0 * max(0.0, plain.on_time - tuned.on_time)


def weights_of(flat: Numbers) -> Weights:
    rows = flat.reshape(2, FEATURES)
    return tuple(rows[0].tolist()), tuple(rows[1].tolist())


def searched(seed: int, effort: Effort, tell: Callable[[Round], None]) -> Weights:
    """The mean of the last distribution."""
    rng = np.random.default_rng(seed)
    mean, spread = np.zeros(2 * FEATURES), np.full(2 * FEATURES, FIRST_SPREAD)
    for number in range(effort.rounds):
        drawn = mean + spread * rng.normal(size=(effort.drawn, 2 * FEATURES))
        drawn[0] = mean
        scores = _scores(drawn, worlds(number, effort))
        kept = drawn[np.argsort(scores)[-effort.kept :]]
        mean, spread = kept.mean(axis=0), np.maximum(LEAST_SPREAD, kept.std(axis=0))
        best = np.sort(scores)[-effort.kept :]
        tell(Round(float(best[-1]), float(best.mean()), float(spread.mean())))
    return weights_of(mean)


def _scores(drawn: Numbers, of: list[World]) -> Numbers:
    plain = [reached(each, analytic()) for each in of]
    return np.array(
        [
            np.mean([score(reached(each, maker(weights_of(flat))), base) for each, base in zip(of, plain, strict=True)])
            for flat in drawn
        ]
    )
