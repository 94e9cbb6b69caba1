"""An engine behind a door, in virtual time: so many servers, calls of a known length, all that the door says heeded."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.door.asked import Action, Asked, Begin, Turned
from agent.door.door import Door
from agent.door.shares import SHARES, Shares
from agent.offload.cost import CostLine


@dataclass
class Ending:
    """How a request ended: at what time it began, if it did, and at what time it was answered or turned away."""

    asked: Asked
    began: float | None = None
    at: float = 0.0
    turned: Turned | None = None

    @property
    def late(self) -> bool:
        return self.turned is None and self.at > self.asked.deadline


@dataclass
class AskedEngine:
    """`taking` gives the seconds of each call; `guess` is what the door is told beforehand."""

    taking: Callable[[], float]
    guess: float = 0.02
    width: int = 2
    room: int = 4
    shares: Shares = field(default_factory=lambda: SHARES)

    def __post_init__(self) -> None:
        self.door = Door(CostLine([(1, self.guess)]), self.width, self.room, self.shares)
        self.now = 0.0
        self.endings: dict[int, Ending] = {}
        self._queue: list[Asked] = []  # inside, and not run yet
        self._running: list[tuple[float, float, int]] = []  # end, start, number; a heap
        self._numbers = itertools.count(1)

    def run(self, requests: Iterable[Asked]) -> list[Ending]:
        """All of them in order of `arrived`, until the last has ended."""
        for each in requests:
            self._until(each.arrived)
            self.come(each)
        self._until(float("inf"))
        return list(self.endings.values())

    def come(self, asked: Asked) -> None:
        asked.number = next(self._numbers)
        self.endings[asked.number] = Ending(asked)
        self.now = max(self.now, asked.arrived)
        self._act(self.door.arrive(asked, self.now))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            ending = self.endings[action.number]
            assert ending.turned is None, "turned away twice"
            if isinstance(action, Begin):
                assert ending.began is None, "begun twice"
                ending.began = self.now
                self._queue.append(ending.asked)
            else:
                assert ending.began is None, "turned away after it began"
                ending.turned, ending.at = action, self.now
        while self._queue and len(self._running) < self.width:
            first = self._queue.pop(0)
            heapq.heappush(self._running, (self.now + self.taking(), self.now, first.number))

    def _until(self, moment: float) -> None:
        while self._running and self._running[0][0] <= moment:
            end, start, number = heapq.heappop(self._running)
            self.now = end
            ending = self.endings[number]
            ending.at = end
            self.door.learn(1, end - start, end)
            self._act(self.door.ended(ending.asked, end))
