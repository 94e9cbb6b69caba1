"""Sets of a line's numbers, as the ranges they are. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_RANGES = 5_000  # of one line beyond its `up_to`; only agents that number all classes in one line leave holes

SeqRange = tuple[int, int]  # both ends included


@dataclass(frozen=True)
class Numbers:
    """Every number from 1 to `up_to`, and ranges beyond it: ascending, no two of which touch."""

    up_to: int = 0
    beyond: tuple[SeqRange, ...] = ()

    def __contains__(self, number: int) -> bool:
        return number <= self.up_to or (bool(self.beyond) and self._range_of(number) is not None)

    @property
    def count(self) -> int:
        return self.up_to + sum(last - first + 1 for first, last in self.beyond)

    def plus(self, more: Sequence[SeqRange]) -> Numbers:
        """With these as well. Of more ranges than are kept the lowest are forgotten: the table's own key knows them."""
        if len(more) == 1 and not self.beyond and more[0][0] == self.up_to + 1:
            return Numbers(more[0][1])
        all_of_them = joined(sorted([*self.beyond, *more, *([(1, self.up_to)] if self.up_to else [])]))
        if all_of_them and all_of_them[0][0] == 1:
            return Numbers(all_of_them[0][1], tuple(all_of_them[1:][-MOST_RANGES:]))
        return Numbers(0, tuple(all_of_them[-MOST_RANGES:]))

    def around(self, numbers: Iterable[int], most: int) -> tuple[SeqRange, ...]:
        """The ranges beyond `up_to`: all, or when they are more than `most` those that hold one of `numbers`."""
        if len(self.beyond) <= most:
            return self.beyond
        return tuple(sorted({found for number in numbers if (found := self._range_of(number))}))

    def _range_of(self, number: int) -> SeqRange | None:
        place = bisect_right(self.beyond, number, key=lambda each: each[0]) - 1
        return self.beyond[place] if place >= 0 and number <= self.beyond[place][1] else None


def ranges(numbers: Iterable[int]) -> list[SeqRange]:
    """As few ranges as can be that cover exactly `numbers`."""
    ordered = sorted(set(numbers))
    if ordered and ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]
    return joined((number, number) for number in ordered)


def joined(ascending: Iterable[SeqRange]) -> list[SeqRange]:
    """The same numbers in ranges of which no two touch."""
    found: list[SeqRange] = []
    for first, last in ascending:
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
