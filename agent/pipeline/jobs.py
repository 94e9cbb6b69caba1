"""A frame on its way: how far each way of answering it has come. Data, changed by the lane and its sides alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from agent.offload.explain import Account
from agent.pipeline.actions import Answer
from agent.types import Frame


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
    local: Leg = Leg.UNUSED
    cloud: Leg = Leg.UNUSED
    ended: bool = False
    hedge_at: float | None = None  # monotonic seconds from which it is to be run here too
    sent_at: float = 0.0
    reserved: float = 0.0  # bits of the uplink budget, for a picture of a size not yet known
    encoded: bool = False
    slot_held: bool = True
    cloud_judged: bool = False  # the breaker heard of it
    held: Answer | None = None  # the box's, while the cloud is asked for a better one
    stages: dict[str, float] = field(default_factory=dict)
    uplink_bytes: int = 0

    @property
    def deadline(self) -> float:
        return self.frame.deadline

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
        waits = not self.ended and self.held is None and (not self.in_cloud or self.hedge_at is not None)
        return encoding or waits or self.local in (Leg.WAITING, Leg.RUNNING)
