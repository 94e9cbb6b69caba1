"""What the simulator is told of the box at hand, and what it then says of a window. Pure.

Rules that hold here:

- Calls of the engine are drawn anew from those that were seen in windows of their own, at the same load: with all that
  wants the box's one core beside it.
- So are the seconds that a picture's way up and back takes beyond link and node: what was seen there beyond what the
  simulator's own link makes of the same pictures.
- Which picture a frame shows, how sure the box is of it and whether it is right are the window's own.
- A box hears no answer after a frame's deadline, since its call ends then, and never how long the node itself took;
  nor does the contender here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

import numpy as np
from msgspec import structs

from agent.simulation import world as worlds
from agent.simulation.contender import Act, Known, Offer, Reply
from agent.simulation.drive import ENCODE_SECONDS, play
from agent.simulation.links import Sending
from agent.simulation.ourselves import Ourselves
from agent.simulation.scenario import Scenario
from agent.simulation.world import World
from bench.decision_real.messages import Ended, Opened

DRAWS = 3  # of the engine's calls, for one prediction
KNOTS = 6
UNHEARD = "no answer in time"


@dataclass(frozen=True)
class Fit:
    """At one load. `calls`: seconds of the engine; `beyond`: of a picture's way beyond link and node."""

    calls: tuple[float, ...]
    beyond: tuple[float, ...]

    @property
    def call(self) -> float:
        return median(self.calls)


class OnABox(Ourselves):
    """As `LaneRunner` asks: see the module's last rule."""

    def __init__(self, known: Known, seed: int) -> None:
        super().__init__(known, seed)
        self._deadline: dict[int, float] = {}
        self._up: dict[int, float] = {}  # until when the node is listened to
        self._left: set[int] = set()  # by us, before the node said anything

    def arrive(self, offer: Offer, now: float) -> list[Act]:
        self._deadline[offer.number] = offer.deadline
        return super().arrive(offer, now)

    def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
        self._up[number] = self._deadline[number]
        return super().encoded(number, nbytes, now)

    def cloud_done(self, number: int, reply: Reply, now: float) -> list[Act]:
        self._up.pop(number, None)
        return [] if number in self._left else super().cloud_done(number, structs.replace(reply, seconds=0.0), now)

    def tick(self, now: float) -> list[Act]:
        acts = super().tick(now)
        for number in [number for number, until in self._up.items() if until <= now]:
            acts += self.cloud_done(number, Reply(error=UNHEARD), now)
            self._left.add(number)
        return acts

    @property
    def wake_at(self) -> float | None:
        moments = [*self._up.values(), *([] if (own := super().wake_at) is None else [own])]
        return min(moments, default=None)


def known(scenario: Scenario, opened: Opened) -> Known:
    """What the release says, its confidence as its pictures have it."""
    return structs.replace(worlds.known(scenario), confidence=knots(opened.scores, opened.right))


def knots(scores: Sequence[float], right: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """Score → share that is right, rising in both."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, KNOTS) if len(part)]
    shares = np.maximum.accumulate([float(np.mean([right[k] for k in part])) for part in parts])
    return tuple(
        (float(np.mean([scores[k] for k in part])), float(share)) for part, share in zip(parts, shares, strict=True)
    )


def pictures(frames: int, opened: Opened, seed: int) -> list[int]:
    """Which one each frame shows: those on which the box sees anything."""
    shown = [number for number, score in enumerate(opened.scores) if score > 0]
    chosen: list[int] = np.random.default_rng([seed, 11]).choice(shown, frames).tolist()
    return chosen


def beyond(ended: Ended, world: World) -> list[float]:
    """Seconds that each answered picture took more than by the simulator's link and encoder."""
    link, more = Sending(world.trace), []
    for ask in ended.asks:
        there, _ = link.send(8.0 * ask.nbytes, ask.at, ask.at + 10.0, 0)
        if ask.answered and there is not None:
            usual = there - ask.at + world.scenario.service + world.trace.at(there).rtt
            more.append(ask.seconds - usual)
    encoding = fmean(ended.encodes) - ENCODE_SECONDS if ended.encodes else 0.0
    return [each + encoding for each in more]


def predicted(world: World, fit: Fit, opened: Opened, shown: Sequence[int]) -> dict[str, float]:
    """Share of each outcome in this window, on the mean of a few draws."""
    told = known(world.scenario, opened)
    played = [play(_as_measured(world, fit, opened, shown, draw), OnABox(told, world.seed)) for draw in range(DRAWS)]
    counted = [Counter(fate.outcome for fate in each.fates) for each in played]
    names = sorted({name for each in counted for name in each})
    return {str(name): fmean(each[name] / world.frames for each in counted) for name in names}


def _as_measured(world: World, fit: Fit, opened: Opened, shown: Sequence[int], draw: int) -> World:
    rng = np.random.default_rng([world.seed, draw, 13])
    calls = rng.choice(np.array(fit.calls), (world.frames, 1)) / world.scenario.sizes[0].seconds
    scores = np.array([[opened.scores[number]] for number in shown])
    right = np.array([[opened.right[number], True] for number in shown])
    jitter = rng.choice(np.array(fit.beyond), world.frames)
    return replace(world, times=calls, jitter=jitter, confidence=scores, right=right, chance=right.astype(float))
