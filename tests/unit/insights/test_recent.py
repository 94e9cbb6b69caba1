"""The last minute in memory: it holds what the database holds, and asks for what is new only."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from controlplane.insights.domain import Latencies, Window
from controlplane.insights.recent import OVERLAP_MS, SPAN_MS, WHOLE_MS, RecentWindows
from controlplane.insights.repository import RecordKey
from protos.errors import Retryable
from protos.outcomes import Outcome

START = 1_000_000
NOBODY = Latencies()


@dataclass
class Stored:
    """Windows by when they were stored; `asked`: since when, each time."""

    records: dict[RecordKey, tuple[int, Window]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    away: bool = False

    def store(self, stored_ms: int, end_ms: int) -> None:
        window = Window(end_ms - 2000, end_ms, {Outcome.OK_LOCAL: 20}, "quay-1", "gate", "watch", NOBODY, NOBODY, 0)
        self.records["quay-1", "epoch", len(self.records)] = (stored_ms, window)

    def read(self, stored_ms: int, since_ms: int) -> dict[RecordKey, Window]:
        if self.away:
            raise Retryable("the database is away")
        self.asked.append(stored_ms)
        there = self.records.items()
        return {key: window for key, (at, window) in there if at >= stored_ms and window.end_ms >= since_ms}

    def ends(self, recent: RecentWindows, now_ms: int) -> list[int]:
        return sorted(window.end_ms for window in recent.windows(now_ms, now_ms - 60_000))


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def recent(stored: Stored) -> RecentWindows:
    return RecentWindows(stored.read)


def test_each_look_reads_what_was_stored_since_the_one_before(stored: Stored, recent: RecentWindows) -> None:
    for second in range(50):
        now = START + 1000 * second
        stored.store(now, now)
        assert stored.ends(recent, now) == [START + 1000 * each for each in range(second + 1)]
    assert stored.asked[0] == 0
    assert stored.asked[1:] == [START + 1000 * each - OVERLAP_MS for each in range(49)]


def test_what_is_older_than_the_span_is_forgotten(stored: Stored, recent: RecentWindows) -> None:
    stored.store(START, START)
    assert stored.ends(recent, START) == [START]
    assert stored.ends(recent, START + SPAN_MS + 1) == []


def test_a_record_that_is_seen_late_is_not_missed(stored: Stored, recent: RecentWindows) -> None:
    stored.ends(recent, START)
    stored.store(START - OVERLAP_MS + 1, START)  # its transaction ended after the look at START
    assert stored.ends(recent, START + 1000) == [START]


def test_all_is_read_anew_once_in_a_while_and_after_the_clock_was_set_back(
    stored: Stored, recent: RecentWindows
) -> None:
    stored.ends(recent, START)
    stored.store(1, START)  # a restored row, stored long ago
    assert stored.ends(recent, START + 1000) == []
    assert stored.ends(recent, START + WHOLE_MS) == [START]
    stored.ends(recent, START - 5000)
    assert stored.asked[-1] == 0


def test_a_database_that_is_away_loses_nothing(stored: Stored, recent: RecentWindows) -> None:
    stored.store(START, START)
    stored.ends(recent, START)
    stored.away = True
    stored.store(START + 1000, START + 1000)
    with pytest.raises(Retryable):
        stored.ends(recent, START + 2000)
    stored.away = False
    assert stored.ends(recent, START + 20_000) == [START, START + 1000]
