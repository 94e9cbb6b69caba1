"""The rules of the outbox's books, over rows in memory."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.outbox_memory import MemoryRows
from agent.telemetry import outbox
from agent.telemetry.books import DROPPABLE, Books, Bounds
from agent.telemetry.records import RecordClass, Waiting
from protos import telemetry_pb2 as wire
from tests.sim.telemetry import draft

ROOMY = Bounds(1 << 30)
TIGHT = Bounds(4_000, shares={})


class Box:
    """An outbox without an adapter: rows, books, and what was taken from it."""

    def __init__(self, bounds: Bounds) -> None:
        self.rows, self.books, self.bounds = MemoryRows(), Books(), bounds
        self.cursor: dict[RecordClass, int] = {}
        self.numbers = 0

    def put(self, record_class: RecordClass, count: int = 1) -> None:
        for _ in range(count):
            self.numbers += 1
            outbox.accept(self.rows, self.books, [draft(record_class, self.numbers)], self.bounds)

    def take(self, most: int = 100) -> list[Waiting]:
        return outbox.take(self.rows, self.books, self.cursor, most, 1 << 20)

    def waiting(self) -> list[Waiting]:
        return [row for each in RecordClass for row in self.rows.after(each, 0, 10_000)]

    def gaps(self) -> list[wire.Gap]:
        return [wire.Record.FromString(row.body).gap for row in self.rows.after(RecordClass.GAP, 0, 10_000)]


def test_when_room_is_short_the_oldest_results_go_first_and_are_declared() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.FRAME, 30)
    (gap,) = box.gaps()
    kept = [row.seq for row in box.rows.after(RecordClass.FRAME, 0, 100)]
    assert gap.first_seq == 1
    assert gap.record_class == "frame"
    assert min(kept) > gap.last_seq
    assert gap.dropped + len(kept) == 30


def test_counts_outlive_results_and_health() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.OUTCOMES, 10)
    box.put(RecordClass.FRAME, 40)
    box.put(RecordClass.CAMERA, 10)
    assert len(box.rows.after(RecordClass.OUTCOMES, 0, 100)) == 10
    assert {gap.record_class for gap in box.gaps()} == {"frame"}


def test_a_class_over_its_share_drops_its_own_records_and_no_others() -> None:
    box = Box(Bounds(100_000, shares={RecordClass.CAMERA: 0.005}))
    box.put(RecordClass.FRAME, 5)
    box.put(RecordClass.CAMERA, 50)
    assert len(box.rows.after(RecordClass.FRAME, 0, 100)) == 5
    assert {gap.record_class for gap in box.gaps()} == {"camera"}


def test_what_may_have_been_sent_is_never_dropped() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.FRAME, 5)
    sent = {row.seq for row in box.take()}
    box.put(RecordClass.FRAME, 60)
    assert sent <= {row.seq for row in box.rows.after(RecordClass.FRAME, 0, 100)}


def test_drops_go_into_one_gap_until_it_is_sent_and_then_into_a_new_one() -> None:
    box = Box(TIGHT)
    box.put(RecordClass.FRAME, 60)
    assert len(box.gaps()) == 1
    (sent,) = [row for row in box.take(1) if row.record_class is RecordClass.GAP]
    box.put(RecordClass.FRAME, 60)
    first, second = box.gaps()
    assert wire.Record.FromString(sent.body).gap == first
    assert second.first_seq > first.last_seq


def test_gaps_and_counts_are_taken_before_results() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.FRAME, 2)
    box.put(RecordClass.OUTCOMES)
    box.put(RecordClass.NODE)
    outbox.lose(box.rows, box.books, RecordClass.FRAME, 3, "disk full")
    assert [row.record_class.word for row in box.take()] == ["gap", "outcomes", "node", "frame", "frame"]


def test_nothing_is_taken_twice() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.FRAME, 7)
    assert [row.seq for row in box.take(3)] == [1, 2, 3]
    assert [row.seq for row in box.take(3)] == [4, 5, 6]
    assert [row.seq for row in box.take(3)] == [7]
    assert box.take(3) == []


def test_a_batch_stays_within_its_bytes_but_always_holds_one_record() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.FRAME, 3)
    assert len(outbox.take(box.rows, box.books, box.cursor, 100, 1)) == 1
    assert [row.seq for row in box.take()] == [2, 3]


def test_what_was_never_written_gets_numbers_and_a_gap() -> None:
    box = Box(ROOMY)
    box.put(RecordClass.FRAME, 2)
    outbox.lose(box.rows, box.books, RecordClass.FRAME, 5, "disk full")
    (gap,) = box.gaps()
    assert (gap.first_seq, gap.last_seq, gap.dropped, gap.reason) == (3, 7, 5, "disk full")
    assert box.books.last_seq == 8


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(DROPPABLE), st.integers(1, 30)),
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.just("ack"), st.integers(0, 40)),
        st.tuples(st.just("lose"), st.sampled_from(DROPPABLE), st.integers(1, 9)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_accepted_is_stored_and_declared_dropped_and_waiting_whatever_happens(
    actions: list[tuple[object, ...]],
) -> None:
    """The oracle, with a control plane that stores some of what was sent, acknowledged or not."""
    box, stored, air = Box(TIGHT), dict[int, Waiting](), list[Waiting]()
    for action in actions:
        match action:
            case ("put", RecordClass() as record_class, int(count)):
                box.put(record_class, count)
            case ("lose", RecordClass() as record_class, int(count)):
                outbox.lose(box.rows, box.books, record_class, count, "disk full")
            case ("take", int(most)):
                air += box.take(most)
                stored.update({row.seq: row for row in air[: most // 2]})
            case ("ack", int(count)):
                stored.update({row.seq: row for row in air[:count]})
                outbox.forget(box.rows, box.books, [(row.seq, row.seq) for row in air[:count]])
                del air[:count]
            case _:
                box.cursor, box.books.open_gaps, air = {}, {}, []
    adds_up(box, stored)


def adds_up(box: Box, stored: dict[int, Waiting]) -> None:
    waiting = {row.seq: row for row in box.waiting()}
    here_or_there = {**waiting, **stored}
    declared = Counter[str]()
    for row in here_or_there.values():
        if row.record_class is RecordClass.GAP:
            gap = wire.Record.FromString(row.body).gap
            declared[gap.record_class] += gap.dropped
    assert box.books.last_seq == len(here_or_there) + declared.total()
    assert declared == Counter({each.word: count for each, count in box.books.dropped.items() if count})
    assert sum(held.rows for held in box.books.held.values()) == len(waiting)
