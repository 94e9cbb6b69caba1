"""Whose turn it is of several partitions, by their shares. Pure.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): each start moves its partition on by what it took over its share,
and the one that is furthest behind is next. Whoever was away begins where the others are: idle time is not saved up.
"""

from __future__ import annotations

from collections.abc import Collection

from agent.door.shares import Partition, Shares


class Sharing:
    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._ends = dict.fromkeys(shares, 0.0)  # in virtual seconds
        self._now = 0.0  # virtual: where the last one began

    def next(self, waiting: Collection[Partition]) -> Partition:
        """One of those."""
        return min(waiting, key=lambda each: max(self._ends[each], self._now))

    def took(self, partition: Partition, seconds: float) -> None:
        """It began something worth so much."""
        self._now = max(self._ends[partition], self._now)
        self._ends[partition] = self._now + seconds / self._shares[partition]

    def stretch(self, partition: Partition, others: Collection[Partition]) -> float:
        """How many times longer its line takes when `others` use their shares: the least it has is its own."""
        own = self._shares[partition]
        return 1.0 + sum(self._shares[each] for each in others if each is not partition) / own
