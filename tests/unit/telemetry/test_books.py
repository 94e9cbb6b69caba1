"""The rules of the outbox's books, over rows in memory."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.outbox_memory import MemoryRows
from agent.telemetry import books as telemetry_books
from agent.telemetry import outbox
from agent.telemetry.books import DROPPABLE, FULL, OVER_SHARE, TOO_OLD, Books, Bounds, Tally
from agent.telemetry.caps import DAY, Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Lanes, Taken
from agent.telemetry.ranges import SeqRange, coarser, holes, joined
from agent.telemetry.records import Waiting
from protos import telemetry_pb2 as wire
from tests.sim.telemetry import draft

ROOMY = Bounds(1 << 30)
TIGHT = Bounds(4_000, Caps(shares={}))
NOW_MS = 1_795_000_000_000


class Box:
    """An outbox without an adapter: rows, books, and what was taken from it."""

    def __init__(self, bounds: Bounds) -> None:
        self.rows, self.bounds, self.now_ms = MemoryRows(), bounds, NOW_MS
        names = (f"e{number}" for number in itertools.count(1))
        self.books = Books(start="s1", names=lambda: next(names))
        self.lanes = Lanes()
        self.starts, self.numbers = 1, 0

    def put(self, record_class: RecordClass, count: int = 1) -> None:
        for _ in range(count):
            self.numbers += 1
            outbox.accept(self.rows, self.books, [draft(record_class, self.numbers)], self.bounds, self.now_ms)

    def lose(self, record_class: RecordClass, count: int, reason: str = "disk full") -> None:
        outbox.lose(self.rows, self.books, record_class, count, reason, self.now_ms)

    def take(self, most: int = 100, lane: Lane = Lane.LIVE, most_bytes: int = 1 << 20) -> Taken:
        return outbox.take(self.rows, self.books, self.lanes, lane, most, most_bytes)

    def take_all(self, lane: Lane = Lane.LIVE, most: int = 100) -> list[Taken]:
        return list(iter(lambda: self.take(most, lane), Taken(start=self.books.start, before=self.books.before)))

    def forget(self, taken: Taken) -> None:
        outbox.forget(self.rows, self.books, taken.epoch, [(row.seq, row.seq) for row in taken.rows])

    def restart(self) -> None:
        self.starts += 1
        self.books.before, self.books.start = self.books.start, f"s{self.starts}"
        self.books.current, self.books.open_gaps, self.books.told = {}, {}, {}
        self.lanes = Lanes()

    def expire(self, now_ms: int) -> None:
        outbox.expire(self.rows, self.books, self.bounds, now_ms, self.now_ms)

    def waiting(self, record_class: RecordClass) -> list[int]:
        found = [self.rows.bodies(each.id, 0, 1 << 40, 10_000) for each in self.books.of_class(record_class)]
        return [seq for rows in found for seq, _ in rows]

    def gaps(self) -> list[wire.Gap]:
        found = [self.rows.bodies(each.id, 0, 1 << 40, 10_000) for each in self.books.of_class(RecordClass.GAP)]
        return [wire.Record.FromString(body).gap for rows in found for _, body in rows]

    def tally(self, record_class: RecordClass) -> Tally:
        return self.books.tallies()[self.books.epochs[self.books.current[record_class]].name]


def test_the_oldest_that_waits_is_of_those_of_which_it_is_known() -> None:
    """The first release did not note when a record was accepted."""
    box = Box(ROOMY)
    outbox.accept(box.rows, box.books, [draft(RecordClass.ALARM)], ROOMY, 0)
    assert box.books.summary().oldest_unix_ms == 0
    box.put(RecordClass.DEBUG)
    assert box.books.summary().oldest_unix_ms == NOW_MS


def test_when_room_is_short_the_oldest_results_go_first_and_are_declared() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.DETECTION, 30)
    (gap,) = box.gaps()
    kept = box.waiting(RecordClass.DETECTION)
    assert (gap.first_seq, gap.last_seq) == (1, min(kept) - 1)
    assert (gap.record_class, gap.epoch, gap.reason) == ("detection", "e1", FULL)
    assert gap.dropped + len(kept) == 30


def test_the_lowest_class_goes_first() -> None:
    box = Box(TIGHT)
    for record_class, count in ((RecordClass.ALARM, 5), (RecordClass.DETECTION, 3), (RecordClass.METRIC, 4)):
        box.put(record_class, count)
    box.put(RecordClass.DEBUG, 30)
    kept = {
        each.word: len(box.waiting(each)) for each in (RecordClass.METRIC, RecordClass.DETECTION, RecordClass.ALARM)
    }
    assert kept == {"metric": 4, "detection": 3, "alarm": 5}
    assert {gap.record_class for gap in box.gaps()} == {"debug"}
    box.put(RecordClass.DETECTION, 30)
    assert box.waiting(RecordClass.DEBUG) == box.waiting(RecordClass.METRIC) == []
    assert len(box.waiting(RecordClass.ALARM)) == 5


def test_the_oldest_start_of_a_class_goes_first() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.DETECTION, 8)
    first = box.tally(RecordClass.DETECTION).epoch
    box.restart()
    box.put(RecordClass.DETECTION, 12)
    assert {gap.epoch for gap in box.gaps()} == {first}


def test_a_class_over_its_share_drops_its_own_records_and_no_others() -> None:
    box = Box(Bounds(100_000, Caps(shares={RecordClass.ALARM: 0.005})))
    box.put(RecordClass.DETECTION, 5)
    box.put(RecordClass.ALARM, 50)
    assert len(box.waiting(RecordClass.DETECTION)) == 5
    assert {(gap.record_class, gap.reason) for gap in box.gaps()} == {("alarm", OVER_SHARE)}


def test_what_waited_longer_than_its_class_may_is_dropped_and_declared() -> None:
    box = Box(Bounds(1 << 30, Caps(ages={RecordClass.DETECTION: DAY})))
    box.put(RecordClass.DETECTION, 5)
    box.put(RecordClass.ALARM, 2)
    box.now_ms += 20 * 3_600_000
    box.put(RecordClass.DETECTION, 3)
    box.expire(NOW_MS + 25 * 3_600_000)
    (gap,) = box.gaps()
    assert (gap.first_seq, gap.last_seq, gap.dropped, gap.reason) == (1, 5, 5, TOO_OLD)
    assert box.waiting(RecordClass.DETECTION) == [6, 7, 8]
    assert len(box.waiting(RecordClass.ALARM)) == 2


def test_a_record_of_a_clock_that_was_never_set_has_no_age() -> None:
    box = Box(Bounds(1 << 30, Caps(ages={RecordClass.DETECTION: DAY})))
    box.now_ms = 3_600_000  # an hour after 1970
    box.put(RecordClass.DETECTION, 3)
    box.expire(NOW_MS)
    assert box.gaps() == []


def test_what_may_have_been_sent_is_never_dropped() -> None:
    box = Box(Bounds(4_000, Caps(shares={}, ages={RecordClass.DETECTION: DAY})))
    box.put(RecordClass.DETECTION, 5)
    sent = {row.seq for row in box.take().rows}
    box.put(RecordClass.DETECTION, 60)
    box.expire(NOW_MS + 10**10)
    assert sent <= set(box.waiting(RecordClass.DETECTION))


def test_drops_go_into_one_gap_until_it_is_sent_and_then_into_a_new_one() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.DETECTION, 60)
    assert len(box.gaps()) == 1
    (sent,) = box.take(1).rows
    assert sent.record_class is RecordClass.GAP
    box.put(RecordClass.DETECTION, 60)
    first, second = box.gaps()
    assert wire.Record.FromString(sent.body).gap == first
    assert second.first_seq == first.last_seq + 1


def test_a_gap_covers_no_number_that_was_not_dropped() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.DETECTION, 8)
    box.lose(RecordClass.DETECTION, 5)
    box.put(RecordClass.DETECTION, 40)
    ranges = sorted((gap.first_seq, gap.last_seq, gap.dropped) for gap in box.gaps())
    assert (9, 13, 5) in ranges
    assert all(last - first + 1 == dropped for first, last, dropped in ranges)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


def test_each_batch_holds_one_epoch_and_the_greatest_class_goes_first() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DEBUG, 2)
    box.put(RecordClass.DETECTION)
    box.put(RecordClass.METRIC)
    box.put(RecordClass.ALARM)
    box.lose(RecordClass.DETECTION, 3)
    taken = box.take_all()
    assert [each.record_class.word for each in taken] == ["gap", "alarm", "detection", "metric", "debug"]
    assert len({each.epoch for each in taken}) == 5
    assert [len(each.rows) for each in taken] == [1, 1, 1, 1, 2]
    assert {(each.start, each.before) for each in taken} == {("s1", "")}


def test_nothing_is_taken_twice() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 7)
    assert [[row.seq for row in each.rows] for each in box.take_all(most=3)] == [[1, 2, 3], [4, 5, 6], [7]]
    assert box.take().rows == ()


def test_a_batch_stays_within_its_bytes_but_always_holds_one_record() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 3)
    assert len(box.take(most_bytes=1).rows) == 1
    assert [row.seq for row in box.take().rows] == [2, 3]


def test_what_was_never_written_gets_numbers_and_a_gap() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 2)
    box.lose(RecordClass.DETECTION, 5)
    (gap,) = box.gaps()
    assert (gap.first_seq, gap.last_seq, gap.dropped, gap.reason) == (3, 7, 5, "disk full")
    assert box.tally(RecordClass.DETECTION) == Tally("e1", RecordClass.DETECTION, 7, 2, 5, NOW_MS)


# ---- starts and epochs ----


def test_each_start_numbers_each_class_from_one_in_an_epoch_of_its_own() -> None:
    box = Box(ROOMY)
    for _ in range(2):
        box.put(RecordClass.DETECTION, 2)
        box.put(RecordClass.ALARM)
        box.restart()
    epochs = box.books.epochs.values()
    assert [(each.start, each.record_class.word, each.accepted) for each in epochs] == [
        ("s1", "detection", 2),
        ("s1", "alarm", 1),
        ("s2", "detection", 2),
        ("s2", "alarm", 1),
    ]
    assert len({each.name for each in epochs}) == 4


def test_an_epoch_of_an_earlier_start_ends_when_nothing_of_it_waits_and_its_last_tally_was_told() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 2)
    box.restart()
    box.put(RecordClass.DETECTION)
    before = box.books.tallies()
    box.books.hear(before.values())
    box.forget(box.take(lane=Lane.HISTORICAL))
    box.books.close()
    assert len(box.books.epochs) == 2, "its tally said that two wait"
    box.books.hear(box.books.tallies().values())
    box.books.close()
    assert [each.start for each in box.books.epochs.values()] == ["s2"]
    assert box.books.summary().accepted == 3


def test_epochs_that_nobody_hears_of_do_not_pile_up_for_ever() -> None:
    box = Box(ROOMY)
    for _ in range(telemetry_books.MOST_SILENT + 10):
        box.put(RecordClass.DETECTION)
        box.forget(box.take())
        box.restart()
    box.books.close()
    assert len(box.books.epochs) == telemetry_books.MOST_SILENT
    assert box.books.summary().accepted == telemetry_books.MOST_SILENT + 10


# ---- lanes ----


def test_what_waits_when_the_box_is_connected_again_is_historical_and_what_comes_then_is_live() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 3)
    box.lanes.reconnected(box.books)
    box.put(RecordClass.DETECTION, 2)
    live, old = box.take(), box.take(lane=Lane.HISTORICAL)
    assert ([row.seq for row in live.rows], live.historical) == ([4, 5], False)
    assert ([row.seq for row in old.rows], old.historical) == ([1, 2, 3], True)
    assert box.take().rows == box.take(lane=Lane.HISTORICAL).rows == ()


def test_what_was_found_at_a_start_is_historical() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 3)
    box.restart()
    assert box.take().rows == ()
    assert len(box.take(lane=Lane.HISTORICAL).rows) == 3


def test_live_records_that_were_not_taken_are_historical_after_the_next_break() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 4)
    box.lanes.reconnected(box.books)
    box.put(RecordClass.DETECTION, 4)
    assert [row.seq for row in box.take(2).rows] == [5, 6]
    box.lanes.reconnected(box.books)
    box.put(RecordClass.DETECTION, 1)
    assert [row.seq for row in box.take().rows] == [9]
    old = [row.seq for each in box.take_all(Lane.HISTORICAL) for row in each.rows]
    assert old == [1, 2, 3, 4, 7, 8]


def test_records_between_those_that_were_sent_may_be_dropped() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.DETECTION, 40)
    box.lanes.reconnected(box.books)
    box.put(RecordClass.DETECTION, 3)
    box.take()
    outbox.accept(box.rows, box.books, [], TIGHT, NOW_MS)
    kept = box.waiting(RecordClass.DETECTION)
    assert kept[-3:] == [41, 42, 43]
    assert [(gap.first_seq, gap.last_seq) for gap in box.gaps()] == [(1, kept[0] - 1)]


# ---- ranges ----

NUMBERS = st.sets(st.integers(1, 60))


def ranges_of(numbers: set[int]) -> tuple[SeqRange, ...]:
    found: tuple[SeqRange, ...] = ()
    for number in numbers:
        found = joined(found, number, number)
    return found


def within(ranges: Iterator[SeqRange] | tuple[SeqRange, ...]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(NUMBERS, st.integers(1, 60), st.integers(0, 20))
def test_ranges_hold_what_went_in_and_their_holes_the_rest(numbers: set[int], first: int, more: int) -> None:
    ranges, last = ranges_of(numbers), first + more
    assert within(ranges) == numbers
    assert list(ranges) == sorted(ranges)
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(ranges))
    assert within(joined(ranges, first, last)) == numbers | set(range(first, last + 1))
    assert within(holes(ranges, first, last)) == set(range(first, last + 1)) - numbers


@given(NUMBERS, st.integers(1, 5))
def test_coarser_ranges_are_few_and_cover_all(numbers: set[int], most: int) -> None:
    fewer = coarser(ranges_of(numbers), most)
    assert len(fewer) <= most
    assert numbers <= within(fewer)


# ---- the invariant ----

CLASSES = st.sampled_from(DROPPABLE)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), CLASSES, st.integers(1, 30)),
        st.tuples(st.just("take"), st.sampled_from(Lane), st.integers(1, 20)),
        st.tuples(st.just("ack"), st.integers(0, 4)),
        st.tuples(st.just("lose"), CLASSES, st.integers(1, 9)),
        st.tuples(st.just("age"), st.integers(1, 30)),
        st.tuples(st.just("reconnect")),
        st.tuples(st.just("tell")),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


class History:
    """A control plane that stores some of what was sent, acknowledged or not."""

    def __init__(self) -> None:
        self.box = Box(Bounds(4_000, Caps(shares={}, ages={RecordClass.DEBUG: 40.0, RecordClass.ALARM: 90.0})))
        self.stored: dict[tuple[str, int], Waiting] = {}
        self.air: list[Taken] = []
        self.ended: dict[str, Tally] = {}
        self.does: dict[str, Callable[..., None]] = {
            "put": self.box.put, "lose": self.box.lose, "take": self._take, "ack": self._ack, "age": self._age,
            "reconnect": lambda: self.box.lanes.reconnected(self.box.books), "tell": self._tell,
            "restart": self._restart,
        }  # fmt: skip

    def _take(self, lane: Lane, most: int) -> None:
        taken = self.box.take(most, lane)
        if taken.rows:
            self.air.append(taken)
            self._store(taken) if most % 2 else None

    def _store(self, taken: Taken) -> None:
        for row in taken.rows:
            assert self.stored.setdefault((taken.epoch, row.seq), row) == row, "one number, two contents"

    def _ack(self, count: int) -> None:
        for taken in self.air[:count]:
            self._store(taken)
            self.box.forget(taken)
        del self.air[:count]

    def _age(self, seconds: int) -> None:
        self.box.now_ms += seconds * 1000
        self.box.expire(self.box.now_ms)

    def _tell(self) -> None:
        before = self.box.books.tallies()
        self.box.books.hear(before.values())
        self.box.books.close()
        self.ended |= {name: before[name] for name in before.keys() - self.box.books.tallies().keys()}

    def _restart(self) -> None:
        self.box.restart()
        self.air = []


@settings(max_examples=300, deadline=None)
@given(ACTIONS)
def test_accepted_is_stored_and_declared_dropped_and_waiting_whatever_happens(
    actions: list[tuple[object, ...]],
) -> None:
    history = History()
    for name, *values in actions:
        history.does[str(name)](*values)
    adds_up(history)


def adds_up(history: History) -> None:
    """Per epoch, so per class and start too: each number from 1 on is stored, waits, or is declared, by one Gap."""
    box, there = history.box, dict(history.stored)
    for epoch in box.books.epochs.values():
        rows = box.rows.bodies(epoch.id, 0, 1 << 40, 10_000)
        assert epoch.held.rows == len(rows)
        for seq, body in rows:
            row = Waiting(epoch.record_class, seq, body)
            assert there.setdefault((epoch.name, seq), row) == row, "what may be stored was changed"
    declared = Counter[tuple[str, int]]()
    for row in there.values():
        if row.record_class is RecordClass.GAP:
            gap = wire.Record.FromString(row.body).gap
            declared.update((gap.epoch, seq) for seq in range(gap.first_seq, gap.last_seq + 1))
    assert set(declared.values()) <= {1}
    for name, tally in (history.ended | box.books.tallies()).items():
        numbers = {(name, seq) for seq in range(1, tally.accepted + 1)}
        assert {key for key in there.keys() | declared.keys() if key[0] == name} == numbers
        assert not numbers & there.keys() & declared.keys(), "a record that may be stored was dropped"
        assert tally.dropped == len(numbers & declared.keys())
    assert box.books.summary().accepted == len(there) + declared.total()
