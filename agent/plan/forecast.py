"""A wish played in virtual time by the agent's own lane, and what came of the frames. Pure but for the seeds' chances.

A share is of all frames; the three seeds are three days alike but for chance, and the worst and the best are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from agent.plan.wish import SECONDS, SEEDS, Wish, otherwise, scenario
from bench.decision.contender import CLOUD
from bench.decision.drive import Played, play
from bench.decision.ourselves import maker
from bench.decision.world import World, draw, known
from protos.outcomes import IN_TIME, Outcome

ENOUGH = 0.95  # in time: what nobody has to improve


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


def forecast(wish: Wish, seeds: Sequence[int] = SEEDS, run_seconds: float = SECONDS) -> Share:
    return _mean(list(_runs(wish, seeds, run_seconds)))


def _runs(wish: Wish, seeds: Sequence[int], run_seconds: float) -> Iterator[Share]:
    of = scenario(wish, run_seconds)
    for seed in seeds:
        world = draw(of, seed)
        yield _share(world, play(world, maker()(known(of), seed)))


def _share(world: World, played: Played) -> Share:
    ends = Counter(fate.outcome for fate in played.fates)
    many = max(1, len(played.fates))
    in_time = sum(ends[each] for each in IN_TIME) / many
    cloud = ends[Outcome.OK_CLOUD] / many
    given_up = (ends[Outcome.SHED] + ends[Outcome.SUPERSEDED]) / many
    bits = sum(bits for _, bits in played.sent)
    return Share(
        in_time=in_time,
        worst=in_time,
        best=in_time,
        right=_right(world, played) / many,
        box=in_time - cloud,
        cloud=cloud,
        given_up=given_up,
        late=1.0 - in_time - given_up,
        uplink=bits / world.scenario.seconds,
    )


def _right(world: World, played: Played) -> float:
    """Frames, in expectation: the chance of each answer in time."""
    places = {size.name: place for place, size in enumerate(world.scenario.sizes)}
    found = 0.0
    for number, fate in enumerate(played.fates):
        if fate.outcome in IN_TIME and fate.by is not None:
            found += float(world.chance[number, len(places) + fate.picture if fate.by == CLOUD else places[fate.by]])
    return found


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
