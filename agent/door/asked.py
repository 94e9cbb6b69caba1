"""A request at the door, and what becomes of it."""

from __future__ import annotations

import math

import msgspec

from agent.door.shares import Partition

USUAL = 100  # the priority of a request that names none: 1 to 99 go before it


class Asked(msgspec.Struct):
    """One request. Times in monotonic seconds; `deadline` is infinite for one that waits as long as it takes.

    `pace`: seconds of the server that it is worth; `foretold`: seconds until its answer, as counted when it began to
    wait, 0 where it did not; both are the door's to fill in.
    """

    number: int
    partition: Partition
    site: str
    arrived: float
    deadline: float = math.inf
    priority: int = USUAL
    rows: int = 1  # examples in it
    pace: float = 0.0
    foretold: float = 0.0

    @property
    def order(self) -> tuple[int, float, int]:
        """By priority, then the earliest deadline, then arrival."""
        return self.priority, self.deadline, self.number

    @property
    def timed(self) -> bool:
        return self.deadline != math.inf


class Begin(msgspec.Struct, frozen=True):
    """This one may go in now."""

    number: int


class Turned(msgspec.Struct, frozen=True):
    """This one is turned away; `wait`: seconds it would have waited for its start."""

    number: int
    wait: float


Action = Begin | Turned
