"""A tuner beside a lane: what it sees of the lane, and the lane's gains as it sets them. No I/O.

Rules that hold here: the lane knows of no tuner; a tuner that is off, or in the shadow, changes nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.offload.tuner import ANALYTIC, Gains, Mode, Seen, Tuner
from agent.pipeline.actions import Action, Finish
from agent.pipeline.lane import Lane
from protos.outcomes import IN_TIME

TYPICAL_BYTES = 20_000  # of a picture, by which the way is judged
LINKS = 4.0  # budgets of rate: what counts as a link of 1
NO_WAY = 2.0  # of a deployment without a cloud


def seen(lane: Lane, now: float) -> Seen:
    """What gains are set by."""
    here, there, terms = lane.here, lane.there, lane.terms
    bits = max(1.0, terms.uplink_bits_per_second)
    busy = here.rate(now) * here.each / here.width
    return Seen(
        price=there.prices.shown().get("bits", 0.0),
        link=there.link.bytes_per_second(now) * 8.0 / (LINKS * bits),
        way=there.link.need(TYPICAL_BYTES, now) / terms.deadline if there.allowed else NO_WAY,
        load=busy,
        queue=len(here.queue) * here.each / terms.deadline,
        left=there.budget.left(now) / max(1.0, there.budget.most),
    )


def follow(lane: Lane, gains: Gains) -> None:
    lane.there.prices.scale, lane.here.coming = gains.price, gains.coming


@dataclass
class Beside:
    """`began` before the lane is told of an event, `ended` with what it said to do."""

    lane: Lane
    tuner: Tuner

    def began(self, now: float) -> None:
        if self.tuner.due(now):
            follow(self.lane, self.tuner.step(seen(self.lane, now), now))

    def ended(self, actions: list[Action], now: float) -> None:
        if self.tuner.mode is not Mode.ON:
            return
        for action in actions:
            if isinstance(action, Finish) and self.tuner.ended(now, in_time=action.finished.outcome in IN_TIME):
                follow(self.lane, ANALYTIC)
