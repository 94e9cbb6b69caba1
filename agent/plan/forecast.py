"""A wish played in virtual time by the agent's own lane, and what came of the frames. Pure but for the seeds' chances.

A share is of all frames, once the lane has settled; the seeds are days alike but for chance, and the worst and the best
are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from agent.plan.wish import SECONDS, SEEDS, SETTLING, Wish, otherwise, scenario
from agent.simulation.contender import CLOUD
from agent.simulation.drive import Played, play
from agent.simulation.meter import Figures, measured
from agent.simulation.ourselves import maker
from agent.simulation.world import World, draw, known
from protos.outcomes import Outcome

ENOUGH = 0.95  # in time: what nobody has to improve
ROWS = ("captured", "camera", "deadline", "value", "chance", "right", "confidence", "times", "jitter", "luck")


@dataclass(frozen=True)
class Share:
    """Shares of frames, 0 to 1. `right` counts only what was in time; `worst` and `best` are `in_time` by seed."""

    in_time: float
    worst: float
    best: float
    right: float
    box: float
    cloud: float
    given_up: float
    late: float
    uplink: float  # bits a second


@dataclass(frozen=True)
class Plan:
    wish: Wish
    asked: Share
    others: tuple[tuple[str, Share], ...]

    @property
    def helps_most(self) -> tuple[str, Share] | None:
        """The change after which most is in time; None where none helps."""
        found = [(name, share) for name, share in self.others if share.in_time > self.asked.in_time + 0.005]
        return max(found, key=lambda each: each[1].in_time, default=None)


def plan(wish: Wish, tell: Callable[[str, float], None]) -> Plan:
    """`tell`: what is played now, and the share that is done."""
    wishes = {"as asked": wish, **otherwise(wish)}
    shares = {}
    for done, (name, each) in enumerate(wishes.items()):
        tell(name, done / len(wishes))
        shares[name] = forecast(each)
    asked = shares.pop("as asked")
    return Plan(wish, asked, tuple(shares.items()))


def forecast(
    wish: Wish, seeds: Sequence[int] = SEEDS, run_seconds: float = SECONDS, settling: float = SETTLING
) -> Share:
    return _mean(list(_runs(wish, seeds, run_seconds, settling)))


def _runs(wish: Wish, seeds: Sequence[int], run_seconds: float, settling: float) -> Iterator[Share]:
    of = scenario(wish, settling + run_seconds)
    for seed in seeds:
        world = draw(of, seed)
        yield _share(measured(*_since(settling, world, play(world, maker()(known(of), seed)))))


def _since(begin: float, world: World, played: Played) -> tuple[World, Played]:
    """What was captured, and sent, from then on."""
    first = int(np.searchsorted(world.captured, begin))
    rows: dict[str, Any] = {name: getattr(world, name)[first:] for name in ROWS}
    sent = [each for each in played.sent if each[0] >= begin]
    of = replace(world.scenario, seconds=world.scenario.seconds - begin)
    return replace(world, scenario=of, **rows), replace(played, fates=played.fates[first:], sent=sent)


def _share(found: Figures) -> Share:
    given_up = sum(found.outcomes.get(each, 0) for each in (Outcome.SHED, Outcome.SUPERSEDED)) / found.frames
    cloud = found.answers.get(CLOUD, 0) / found.frames
    return Share(
        in_time=found.on_time,
        worst=found.on_time,
        best=found.on_time,
        right=found.useful,
        box=found.on_time - cloud,
        cloud=cloud,
        given_up=given_up,
        late=max(0.0, 1.0 - found.on_time - given_up),
        uplink=found.mbit_s * 1e6,
    )


def _mean(shares: Sequence[Share]) -> Share:
    return Share(
        in_time=fmean(each.in_time for each in shares),
        worst=min(each.in_time for each in shares),
        best=max(each.in_time for each in shares),
        right=fmean(each.right for each in shares),
        box=fmean(each.box for each in shares),
        cloud=fmean(each.cloud for each in shares),
        given_up=fmean(each.given_up for each in shares),
        late=fmean(each.late for each in shares),
        uplink=fmean(each.uplink for each in shares),
    )
