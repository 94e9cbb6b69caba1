"""How well numbers stay with things: IDF1, MOTA, switches, and who comes back from hiding as who it was. Pure.

Which box is whose is known, so boxes need not be matched to the truth by overlap. Sources: Ristani et al., "Performance
Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016, arXiv:1609.01775 (IDF1); Bernardin and
Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008 (MOTA).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from bench.tracking_scenes import Sight

HIDDEN = (0.0, 0.5, 1.0, 2.0, 3.0)  # seconds, bounds of how long; from the first on it is no hiding but a missed box


@dataclass
class Quality:
    """Of one run; `add` its frames in order."""

    there: int = 0  # things in sight, over all frames
    told: int = 0  # boxes with a number
    right: int = 0  # of them, those of something
    switches: int = 0
    together: Counter[tuple[Hashable, Hashable]] = field(default_factory=Counter)
    hidden: Counter[int] = field(default_factory=Counter)  # by place in HIDDEN
    kept: Counter[int] = field(default_factory=Counter)  # of them, came back with their number
    _last: dict[Hashable, tuple[int, float]] = field(default_factory=dict)

    def add(self, sight: Sight, numbers: list[int]) -> None:
        self.there += len(sight.there)
        for who, number in zip(sight.whose, numbers, strict=True):
            self.told += bool(number)
            if number and who is not None:
                self._of(who, number, sight.captured)

    def _of(self, who: Hashable, number: int, captured: float) -> None:
        self.right += 1
        self.together[who, number] += 1
        before, since = self._last.get(who, (number, captured))
        self.switches += before != number
        place = max(index for index, bound in enumerate(HIDDEN) if captured - since >= bound)
        self.hidden[place] += 1
        self.kept[place] += before == number
        self._last[who] = number, captured

    @property
    def mota(self) -> float:
        missed, false = self.there - self.right, self.told - self.right
        return 1 - (missed + false + self.switches) / self.there

    @property
    def idf1(self) -> float:
        return 2 * best_sum(self.together) / (self.there + self.told)

    def through(self, place: int) -> float | None:
        """The share that kept their number, of those unseen for HIDDEN[place] to the next bound."""
        return self.kept[place] / self.hidden[place] if self.hidden[place] else None


def best_sum(together: Mapping[tuple[Hashable, Hashable], int]) -> int:
    """The largest sum in which each thing has one number at most and each number one thing.

    Source: H. W. Kuhn, "The Hungarian Method for the Assignment Problem", 1955, in the form with potentials, O(n³).
    """
    rows, columns = (list({pair[side] for pair in together}) for side in (0, 1))
    if len(rows) > len(columns):
        return best_sum({(column, row): count for (row, column), count in together.items()})
    cost = [[-together.get((row, column), 0) for column in columns] for row in rows]
    return -sum(cost[row][column] for row, column in _assigned(cost))


def _assigned(cost: list[list[int]]) -> list[tuple[int, int]]:
    """The cheapest pairs of each row with a column of its own; at least as many columns as rows."""
    columns = len(cost[0]) if cost else 0
    by_row, by_column = [0.0] * (len(cost) + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # the row of a column, from 1; 0: none
    for row in range(1, len(cost) + 1):
        _place(row, cost, by_row, by_column, owner)
    return [(row - 1, column - 1) for column, row in enumerate(owner) if row and column]


def _place(row: int, cost: list[list[int]], by_row: list[float], by_column: list[float], owner: list[int]) -> None:
    """Along the shortest augmenting path, by Dijkstra's rule."""
    slack, way, done = [math.inf] * len(owner), [0] * len(owner), [False] * len(owner)
    owner[0], column = row, 0
    while owner[column]:
        done[column], here = True, owner[column]
        for other in range(1, len(owner)):
            if not done[other]:
                reduced = cost[here - 1][other - 1] - by_row[here] - by_column[other]
                if reduced < slack[other]:
                    slack[other], way[other] = reduced, column
        column = min((each for each in range(1, len(owner)) if not done[each]), key=slack.__getitem__)
        step = slack[column]
        for other in range(len(owner)):
            if done[other]:
                by_row[owner[other]] += step
                by_column[other] -= step
            else:
                slack[other] -= step
    while column:
        owner[column] = owner[way[column]]
        column = way[column]
