"""Sets of numbers as closed ranges, ascending, apart by at least one number. Pure."""

from __future__ import annotations

from collections.abc import Iterator

SeqRange = tuple[int, int]  # both ends included
Ranges = tuple[SeqRange, ...]


def joined(ranges: Ranges, first: int, last: int) -> Ranges:
    """`ranges` and [first, last]."""
    before = tuple(each for each in ranges if each[1] < first - 1)
    behind = tuple(each for each in ranges if each[0] > last + 1)
    touched = ranges[len(before) : len(ranges) - len(behind)]
    if touched:
        first, last = min(first, touched[0][0]), max(last, touched[-1][1])
    return (*before, (first, last), *behind)


def holes(ranges: Ranges, first: int, last: int) -> Iterator[SeqRange]:
    """What of [first, last] is in none of them, ascending."""
    for low, high in ranges:
        if low > last:
            break
        if first < low:
            yield first, low - 1
        first = max(first, high + 1)
    if first <= last:
        yield first, last


def within(ranges: Ranges, first: int, last: int) -> Iterator[SeqRange]:
    """What of [first, last] is in one of them, ascending."""
    for low, high in ranges:
        if low <= last and high >= first:
            yield max(low, first), min(high, last)


def coarser(ranges: Ranges, most: int) -> Ranges:
    """At most `most` ranges that cover all of `ranges`: the narrowest holes are filled."""
    while len(ranges) > most:
        at = min(range(len(ranges) - 1), key=lambda index: ranges[index + 1][0] - ranges[index][1])
        ranges = joined(ranges, ranges[at][0], ranges[at + 1][1])
    return ranges
