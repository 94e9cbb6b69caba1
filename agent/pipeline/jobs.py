"""A frame on its way: how far each way of answering it has come. Data, changed by the lane and its sides alone."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import Enum, auto

from agent.offload import policy
from agent.offload.budget import Booking
from agent.offload.explain import Account, Draw
from agent.offload.policy import Way
from agent.offload.profile import JpegPoint
from agent.pipeline.actions import Answer
from agent.types import Frame

NO_WAY = Way(JpegPoint(0, 0, 0, 0.0), 0.0, 0.0, 0.0, 0.0)  # nothing goes up


class Leg(Enum):
    """How far one way of answering a frame has come."""

    UNUSED = auto()
    WAITING = auto()
    RUNNING = auto()
    OVER = auto()


@dataclass(slots=True, eq=False)
class Job:
    number: int  # of its lane, from 1, in order of arrival
    frame: Frame
    account: Account
    value: float = 1.0  # of a right answer in time
    due: float = math.inf  # monotonic seconds, of the first whose place it took among those that wait
    ease: float = 0.0  # in log odds of a right answer, as expected; 0: a usual frame
    turn: int = 0  # the number of that; 0: it took none
    local: Leg = Leg.UNUSED
    cloud: Leg = Leg.UNUSED
    ended: bool = False
    hedge_at: float | None = None  # monotonic seconds from which it is to be run here too
    sent_at: float = 0.0
    way: Way = NO_WAY  # up
    booking: Booking = field(default_factory=lambda: Booking(0))  # of the uplink budget
    on_time: float = 0.0  # P of the cloud's answer, when it was sent
    called_off: bool = False  # its picture must not be sent
    encoded: bool = False
    slot_held: bool = True
    cloud_judged: bool = False  # the breaker heard of it
    trial: bool = False  # run here though it is not planned to be in time: to see what the box can do
    heard: Answer | None = None  # the box's
    confidence: float = 0.0  # of that
    held: bool = False  # the box's answer is in hand, while the cloud is asked for a better one
    stages: dict[str, float] = field(default_factory=dict)
    uplink_bytes: int = 0

    @property
    def in_cloud(self) -> bool:
        return self.cloud is Leg.RUNNING

    @property
    def over(self) -> bool:
        return self.ended and not {self.local, self.cloud} & {Leg.WAITING, Leg.RUNNING}

    @property
    def reads_slot(self) -> bool:
        """Does anything read its slot, or may it yet?"""
        encoding = self.in_cloud and not self.encoded
        waits = not self.ended and not self.held and (not self.in_cloud or self.hedge_at is not None)
        return encoding or waits or self.local in (Leg.WAITING, Leg.RUNNING)

    def goes(self, ahead: float, price: float, rng: random.Random | None, again: float | None = None) -> bool:
        """Up, being better by `ahead`, at a price so much higher? Accounted for.

        `rng`: None leaves nothing to chance. `again`: what it is worth, with an answer of the box in hand.
        """
        taken, propensity = policy.goes(ahead, self.value if again is None else again, rng)
        likely = propensity if taken else 1.0 - propensity
        self.account.draws.append(Draw(again is not None, ahead, price, likely, taken))
        return taken
