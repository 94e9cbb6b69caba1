"""Which parts of a table there should be. Pure.

A part holds [first, last) of the column a table is partitioned by, in that column's own unit: days, or milliseconds. A
part is as long as an eighth of the time its rows are kept, so that there are few however long that is. What fits into
none (a wild clock, a box that was away for longer than anything is kept) is in the default part, which is always there.
Records are kept from when they were stored: a part of theirs goes whole unless something came into it late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DAY_MS = 86_400_000
AHEAD = 2  # parts behind the one of today
LONGEST_DAYS = 32


@dataclass(frozen=True)
class Parted:
    """A table in parts. `day`: how much of the column is one day. `told`: by the word of boxes, right or wrong."""

    name: str
    column: str
    day: int
    told: bool = False


@dataclass(frozen=True, order=True)
class Part:
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    make: tuple[Part, ...]
    drop: tuple[Part, ...]


DETECTIONS = Parted("detections", "told_day", 1, told=True)
RECORDS = tuple(Parted(name, "told_day", 1, told=True) for name in ("outcome_counts", "camera_health", "node_stats"))
MINUTES = tuple(Parted(name, "start_ms", DAY_MS) for name in ("outcome_minutes", "node_minutes"))
HOURS = tuple(Parted(name, "start_ms", DAY_MS) for name in ("outcome_hours", "node_hours"))
PARTED = (DETECTIONS, *RECORDS, *MINUTES, *HOURS)


def days(kept_ms: int) -> int:
    """The length of a part."""
    return min(max(1, kept_ms // DAY_MS // 8), LONGEST_DAYS)


def slack_ms(kept_ms: int) -> int:
    """How much longer a row may stay than it is kept: until its part goes whole. None where hours matter."""
    return days(kept_ms) * DAY_MS if kept_ms >= 2 * DAY_MS else 0


def plan(table: Parted, there: Iterable[Part], now_ms: int, kept_ms: int) -> Plan:
    """Parts from today on to AHEAD behind it; those whose newest row is older than it is kept go."""
    existing, now = sorted(there), now_ms * table.day // DAY_MS
    oldest = (now_ms - kept_ms) * table.day // DAY_MS
    drop = tuple(part for part in existing if part.last <= oldest)
    return Plan(tuple(_missing(existing, now, days(kept_ms) * table.day)), drop)


def _missing(existing: Sequence[Part], now: int, length: int) -> list[Part]:
    begin = now // length * length
    wanted = (Part(begin + number * length, begin + (number + 1) * length) for number in range(1 + AHEAD))
    return [free for part in wanted for free in _free(part, existing)]


def _free(part: Part, existing: Sequence[Part]) -> list[Part]:
    """What of it none holds that is there: the length may have been another when that was made."""
    found, at = [], part.first
    for other in existing:
        if at < other.first < part.last:
            found.append(Part(at, other.first))
        if other.first < part.last:
            at = max(at, other.last)
    return [*found, Part(at, part.last)] if at < part.last else found
