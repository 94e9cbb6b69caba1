"""Those of one partition who wait: first the ones with a deadline, the earliest first; then those without. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

from agent.door.asked import Asked
from agent.door.standing import Standing

MOST = 64  # in a line
_ORDER = attrgetter("order")


class Line:
    def __init__(self) -> None:
        self.timed: list[Asked] = []  # in their order
        self.untimed: list[Asked] = []  # likewise: by priority and arrival
        self.standing = Standing()
        self._timed_pace = self._untimed_pace = 0.0  # of all of them

    def __len__(self) -> int:
        return len(self.timed) + len(self.untimed)

    @property
    def full(self) -> bool:
        return len(self) >= MOST

    def add(self, asked: Asked) -> None:
        insort(self.timed if asked.timed else self.untimed, asked, key=_ORDER)
        self._count(asked, asked.pace)

    def remove(self, asked: Asked) -> None:
        (self.timed if asked.timed else self.untimed).remove(asked)
        self._count(asked, -asked.pace)

    def ahead(self, asked: Asked) -> float:
        """Seconds of the server that go before it, were it here."""
        if asked.timed:
            return _before(asked, self.timed, self._timed_pace)
        return self._timed_pace + _before(asked, self.untimed, self._untimed_pace)

    def from_largest_site(self, asked: Asked) -> Asked | None:
        """Who of a full line makes room for `asked`: the last of the site that has the most here; None: he himself."""
        waiting = Counter(each.site for each in (*self.timed, *self.untimed))
        site, many = waiting.most_common(1)[0]
        if many <= waiting[asked.site] + 1:
            return None
        return max((each for each in (*self.untimed, *self.timed) if each.site == site), key=_ORDER)

    def oldest_untimed(self) -> Asked:
        return min(self.untimed, key=lambda each: each.number)

    def next_untimed(self, in_credit: Callable[[str], bool]) -> Asked:
        """Of the most urgent priority: while the line stands the newest, else the first of a site in credit."""
        urgent = [each for each in self.untimed if each.priority == self.untimed[0].priority]
        if self.standing.stands:
            urgent.reverse()
        return next((each for each in urgent if in_credit(each.site)), urgent[0])

    def _count(self, asked: Asked, pace: float) -> None:
        if asked.timed:
            self._timed_pace = self._timed_pace + pace if self.timed else 0.0
        else:
            self._untimed_pace = self._untimed_pace + pace if self.untimed else 0.0


def _before(asked: Asked, waiting: Sequence[Asked], pace: float) -> float:
    """`pace` is of all of them: most who come go behind all others."""
    order = asked.order
    if not waiting or waiting[-1].order < order:
        return pace
    return sum(each.pace for each in waiting[: bisect_left(waiting, order, key=_ORDER)])
