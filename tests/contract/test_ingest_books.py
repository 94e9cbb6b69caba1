"""The books of an epoch, on both databases: what is stored, dropped and clashes, and what is said of it to the box."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from controlplane import tables
from controlplane.books.repository import Wanted
from controlplane.books.service import BooksService
from controlplane.db import Database
from controlplane.ingest import numbers
from controlplane.ingest.intake import MOST_COUNT
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from controlplane.rollups import tables as rolled
from controlplane.rollups.tables import UNROLLED
from controlplane.settings.domain import Spec
from protos import telemetry_pb2 as wire
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.ingest import Plane, frame_record, told
from tests.sim.stored import books, stored

METRIC = "longshore_ingest_identity_conflicts_total"


@pytest.fixture
def plane(database: Database, clock: FakeClock) -> Plane:
    fleet = SimFleet(database, clock)
    fleet.join("quay-1")
    return Plane(fleet, IngestService(database, clock), InsightsService(database, clock))


def hole(seq: int, first: int, last: int, epoch: str = "", dropped: int | None = None, **other: object) -> wire.Record:
    """A Gap under `seq` that declares these numbers of `epoch`."""
    count = last - first + 1 if dropped is None else dropped
    gap = wire.Gap(record_class="debug", first_seq=first, last_seq=last, dropped=count, reason="full", epoch=epoch)
    for name, value in other.items():
        setattr(gap, name, value)
    return wire.Record(seq=seq, gap=gap)


def frames(*seqs: int, salt: int = 0) -> list[wire.Record]:
    return [frame_record(seq, salt + seq) for seq in seqs]


def said(ack: wire.TelemetryAck) -> tuple[int, list[tuple[int, int]]]:
    return ack.up_to, [(each.first, each.last) for each in ack.stored]


def conflicts(plane: Plane) -> Sequence[tables.RecordConflict]:
    with plane.fleet.database.read() as session:
        return session.scalars(select(tables.RecordConflict).order_by(tables.RecordConflict.seq)).all()


# ---- what is said to the box ----


def test_an_acknowledgement_says_how_far_all_is_stored_and_what_lies_beyond(plane: Plane) -> None:
    for seqs in ((4, 5), (1,), (2,), (8,), (3,)):
        plane.hear("quay-1", told(*frames(*seqs)))
    assert [said(ack) for ack in plane.acknowledged()] == [
        (0, [(4, 5)]),
        (1, [(4, 5)]),
        (2, [(4, 5)]),
        (2, [(4, 5), (8, 8)]),
        (5, [(8, 8)]),
    ]


def test_what_comes_again_is_counted_as_such_and_a_clash_is_not(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1, 2, 3)))
    plane.hear("quay-1", told(*frames(2, 3, 4)))
    plane.hear("quay-1", told(*frames(1, salt=500)))
    assert plane.figure("longshore_ingest_records_total") == 7
    assert plane.figure("longshore_ingest_repeated_records_total") == 2


def test_an_acknowledgement_says_all_that_was_ever_stored_so_that_it_may_get_lost(plane: Plane) -> None:
    for first in range(1, 50, 10):
        plane.hear("quay-1", told(*frames(*range(first, first + 10))))
    assert said(plane.acknowledged()[-1]) == (50, [])


def test_an_agent_that_tells_no_start_gets_ranges_alone(plane: Plane) -> None:
    for seqs in ((1, 2), (5,)):
        plane.hear("quay-1", told(*frames(*seqs), start=""))
    assert said(plane.acknowledged()[-1]) == (0, [(1, 2), (5, 5)])


def test_two_boxes_may_name_their_epochs_the_same(plane: Plane) -> None:
    plane.fleet.join("quay-2")
    plane.loop.handle([plane.message("quay-1", told(*frames(1, 2))), plane.message("quay-2", told(*frames(1)))])
    plane.loop.handle([plane.message("quay-2", told(*frames(1), epoch="e2"))])
    assert [
        (node, said(ack)) for (node, _), ack in zip(plane.source.acknowledged, plane.acknowledged(), strict=True)
    ] == [
        ("quay-1", (2, [])),
        ("quay-2", (1, [])),
        ("quay-2", (1, [])),
    ]


# ---- what was dropped ----


def test_what_a_gap_declares_counts_as_told_in_the_epoch_it_names(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1, 2, 8)))
    plane.hear("quay-1", told(hole(1, 3, 7, "e1"), epoch="g1"))
    plane.hear("quay-1", told(*frames(9)))
    assert said(plane.acknowledged()[-1]) == (9, [])
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped, kept.record_class) == (4, 5, "debug")
    assert stored(plane.fleet.database, "quay-1", "e1") == (4, 5)


def test_a_gap_that_comes_again_counts_once(plane: Plane) -> None:
    for _ in range(3):
        plane.hear("quay-1", told(hole(1, 3, 7, "e1"), epoch="g1"))
    assert books(plane.fleet.database, "quay-1", "e1").dropped == 5


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["record first", "gap first"])
@pytest.mark.parametrize("together", [True, False])
def test_a_record_that_was_under_way_when_it_was_dropped_counts_as_stored_whichever_comes_first(
    plane: Plane, order: tuple[int, int], *, together: bool
) -> None:
    """Its box may forget it before it hears that it arrived."""
    sent = [told(*frames(1, 2, 3)), told(hole(1, 2, 4, "e1"), epoch="g1")]
    messages = [plane.message("quay-1", sent[each]) for each in order]
    for group in [messages] if together else [[each] for each in messages]:
        plane.loop.handle(group)
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped, kept.up_to) == (3, 1, 4)
    with plane.fleet.database.read() as session:
        assert sorted(session.scalars(select(tables.Detection.seq))) == [1, 2, 3]


def test_a_hole_of_some_numbers_only_counts_what_it_says_and_fills_nothing(plane: Plane) -> None:
    """Agents that number all classes in one line declare them so."""
    plane.hear("quay-1", told(*frames(1), hole(2, 3, 9, dropped=4)))
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped, kept.up_to) == (2, 4, 2)


def test_a_gap_that_claims_all_numbers_there_are_harms_nobody(plane: Plane) -> None:
    plane.hear("quay-1", told(hole(1, 1, MOST_COUNT, "e1"), hole(2, 1, MOST_COUNT, "e1", MOST_COUNT), epoch="g1"))
    plane.hear("quay-1", told(*frames(5)))
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped) == (1, MOST_COUNT - 1)


def test_absurd_counts_that_were_taken_before_they_were_bounded_close_no_page(plane: Plane) -> None:
    """Of the fleet neither: sums of them are more than an integer of the database."""
    plane.fleet.join("quay-2")
    for node in ("quay-1", "quay-2"):
        plane.hear(node, told(hole(1, 5, 9), hole(2, 5, 9), epoch="g1"))
    with plane.fleet.database.begin() as session:
        session.query(tables.Gap).update({"dropped": 2**63 - 1})
    found, now = BooksService(plane.fleet.database, plane.fleet.clock), plane.fleet.now_ms
    assert sum(lost.records for lost in plane.insights.lost("quay-1")) >= 2**63 - 1
    assert found.gap_sums(Wanted(0, now + 1), now)
    assert found.fleet().total.dropped
    with plane.fleet.database.begin() as session:
        session.query(tables.Epoch).delete()
    plane.hear("quay-1", told(*frames(3), epoch="g1"))
    assert books(plane.fleet.database, "quay-1", "g1").stored == 3


def test_numbers_that_no_box_gives_out_keep_nobody_from_the_books_of_the_fleet(plane: Plane) -> None:
    """Sums over lines are the database's, which overflows."""
    wild = 2**63 - 1
    for number in range(3):
        lie = tally(2**64 - 1, 2**64 - 1, 2**64 - 1, epoch=f"e{number}")
        gaps = hole(1, 1, wild, f"f{number}"), hole(2, 1, 1, f"h{number}", wild), hole(wild, 1, 1, f"i{number}")
        plane.hear("quay-1", told(*gaps, tallies=[lie], epoch=f"g{number}"))
    service = BooksService(plane.fleet.database, plane.fleet.clock)
    assert service.fleet().total.accepted == service.node("quay-1").total.accepted
    assert service.gap_sums(Wanted(0, plane.fleet.now_ms + 1), 1000)
    assert [each.first for ack in plane.acknowledged()[:1] for each in ack.stored] == [wild], "it is not sent for ever"


def test_what_was_stored_and_dropped_stays_counted_when_the_rows_are_old_and_gone(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1, 2, 3), hole(4, 5, 6)))
    plane.fleet.clock.tick(Spec().detections_retention_ms / 1000 + 86_401)  # on PostgreSQL whole parts go
    plane.hear("quay-1", told(*frames(7)))
    assert plane.ingest.sweep() == 3
    plane.hear("quay-1", told(*frames(2, 3, 8)))
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped, kept.up_to) == (6, 2, 8)
    with plane.fleet.database.read() as session:
        assert sorted(session.scalars(select(tables.Detection.seq))) == [7, 8], "an old record is not stored again"


# ---- two boxes, one identity ----


@pytest.mark.parametrize("together", [True, False])
def test_a_record_under_the_name_of_another_is_kept_aside_told_once_and_acknowledged(
    plane: Plane, caplog: pytest.LogCaptureFixture, *, together: bool
) -> None:
    mine, other = told(*frames(1, 2)), told(*frames(1, 2, 3, salt=50))
    messages = [plane.message("quay-1", each) for each in (mine, other, other, mine)]
    with caplog.at_level(logging.WARNING):
        for group in [messages] if together else [[each] for each in messages]:
            plane.loop.handle(group)
    assert said(plane.acknowledged()[-1]) == (3, []), "neither of the two sends for ever"
    with plane.fleet.database.read() as session:
        found = list(session.scalars(select(tables.Detection).order_by(tables.Detection.seq)))
    assert [row.frame_seq for row in found] == [1, 2, 53], "what is stored first stays"
    kept = conflicts(plane)
    assert [(row.seq, row.kind, row.times) for row in kept] == [(1, "frame", 2), (2, "frame", 2)]
    assert [wire.Record.FromString(row.content).frame.frame_seq for row in kept] == [51, 52]
    assert books(plane.fleet.database, "quay-1", "e1").stored == 3
    assert plane.figure(METRIC, sign="record") == 4
    assert caplog.text.count("two boxes have its identity") == 1


def test_a_record_of_another_kind_under_the_same_name_is_a_conflict_too(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1)))
    plane.hear("quay-1", told(wire.Record(seq=1, node=wire.NodeStats(at_unix_ms=1))))
    assert [row.kind for row in conflicts(plane)] == ["node"]
    assert stored(plane.fleet.database, "quay-1", "e1") == (1, 0)


def test_one_that_breaks_a_rule_is_a_conflict_too_but_not_with_itself(plane: Plane) -> None:
    broken = frame_record(1, 1)
    broken.frame.outcome = "splendid"
    for _ in range(2):
        plane.hear("quay-1", told(broken))
    assert conflicts(plane) == []
    broken.frame.outcome = "marvellous"
    plane.hear("quay-1", told(broken))
    assert len(conflicts(plane)) == 1


def test_a_record_that_its_box_can_no_longer_read_is_no_conflict(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1)))
    plane.hear("quay-1", told(hole(1, 1, 1, dropped=0)))
    assert conflicts(plane) == []
    assert stored(plane.fleet.database, "quay-1", "e1") == (1, 0)


def test_a_record_stored_before_digests_were_noted_is_no_conflict(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1)))
    with plane.fleet.database.begin() as session:
        session.query(tables.Detection).update({"digest": None})
    plane.hear("quay-1", told(*frames(1)))
    assert conflicts(plane) == []


def test_what_was_stored_before_there_were_books_stands_in_them_and_is_stored_once(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1, 2), wire.Record(seq=3, node=wire.NodeStats()), *frames(7, 8), hole(9, 4, 6)))
    plane.hear("quay-1", told(*frames(1), epoch="e2"))
    before = books(plane.fleet.database, "quay-1", "e1")
    with plane.fleet.database.begin() as session:
        session.query(tables.Epoch).delete()
    plane.hear("quay-1", told(*frames(8, 10)))
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.stored, kept.dropped) == (before.stored + 1, before.dropped)
    assert (kept.up_to, kept.beyond) == (3, [[7, 10]])
    assert stored(plane.fleet.database, "quay-1", "e1") == (7, 3)


def test_of_what_the_table_already_has_nothing_is_added_to_minutes_and_hours(plane: Plane) -> None:
    """Of very many ranges of a line the lowest are forgotten: then the table's own key says what is new."""
    database = plane.fleet.database
    stat = wire.Record(seq=7, node=wire.NodeStats(cpu_cores_used=0.5))
    plane.hear("quay-1", told(stat))
    with database.begin() as session:
        session.query(tables.Epoch).update({"beyond": []})
        session.query(tables.NodeStat).update({"digest": None})
    plane.hear("quay-1", told(stat, wire.Record(seq=9, node=wire.NodeStats(cpu_cores_used=0.5))))
    with database.read() as session:
        notes = session.scalars(select(rolled.UNROLLED.c.sums)).all()
    assert [note["samples"] for note in notes] == [1, 1]


def test_two_starts_after_the_same_one_are_two_boxes(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        plane.hear("quay-1", told(*frames(1), epoch="e1", start="s1", before=""))
        plane.hear("quay-1", told(*frames(1), epoch="e2", start="s2", before="s1"))
        assert plane.figure(METRIC, sign="start") == 0
        for epoch, start in (("e3", "s3"), ("e4", "s3"), ("e2", "s2")):
            plane.hear("quay-1", told(*frames(1), epoch=epoch, start=start, before="s1"))
            plane.fleet.clock.tick(3_600)
    assert plane.figure(METRIC, sign="start") == 1
    assert caplog.text.count("two starts of its agent follow the same one") == 1
    with plane.fleet.database.read() as session:
        starts = session.scalars(select(tables.AgentStart).order_by(tables.AgentStart.start)).all()
    assert [(each.start, each.before) for each in starts] == [("s1", ""), ("s2", "s1"), ("s3", "s1")]
    assert starts[1].last_ms > starts[1].first_ms


def test_two_new_outboxes_are_no_conflict_and_neither_are_two_boxes_that_name_starts_alike(plane: Plane) -> None:
    plane.fleet.join("quay-2")
    for node, start, before in (
        ("quay-1", "s1", ""),
        ("quay-1", "s2", ""),
        ("quay-1", "s3", "s1"),
        ("quay-2", "s4", "s1"),
    ):
        plane.hear(node, told(*frames(1), epoch=start, start=start, before=before))
    assert plane.figure(METRIC, sign="start") == 0


# ---- what the box says of its own books ----


def tally(accepted: int, waiting: int, dropped: int = 0, oldest: int = 0, epoch: str = "e1") -> wire.Tally:
    return wire.Tally(
        epoch=epoch, record_class="metric", accepted=accepted, waiting=waiting, dropped=dropped, oldest_unix_ms=oldest
    )


def test_a_tally_is_kept_beside_what_is_stored_with_its_oldest_by_our_clock(plane: Plane) -> None:
    wrong = 86_400_000
    now = plane.fleet.now_ms
    plane.hear("quay-1", told(*frames(1), tallies=[tally(9, 5, 1, now - 7_000 + wrong)], sent_unix_ms=now + wrong))
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.told_accepted, kept.told_waiting, kept.told_dropped) == (9, 5, 1)
    assert (kept.told_oldest_ms, kept.told_ms, kept.record_class) == (now - 7_000, now, "metric")


@pytest.mark.parametrize("together", [True, False])
def test_only_a_later_tally_takes_the_place_of_one(plane: Plane, *, together: bool) -> None:
    tallies = [tally(9, 5), tally(12, 8), tally(10, 2), tally(12, 7), tally(12, 9), tally(12, 7, 1), tally(11, 3)]
    messages = [plane.message("quay-1", told(*frames(1), tallies=[each])) for each in tallies]
    for group in [messages] if together else [[each] for each in messages]:
        plane.loop.handle(group)
    kept = books(plane.fleet.database, "quay-1", "e1")
    assert (kept.told_accepted, kept.told_waiting, kept.told_dropped) == (12, 7, 1)


def test_a_tally_of_an_epoch_of_which_nothing_came_yet_is_kept(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1), tallies=[tally(3, 3, epoch="e9"), tally(1, 1, epoch="no/epoch")]))
    kept = books(plane.fleet.database, "quay-1", "e9")
    assert (kept.told_waiting, kept.stored, kept.up_to) == (3, 0, 0)


def test_numbers_in_a_tally_that_no_database_holds_are_cut(plane: Plane) -> None:
    plane.hear("quay-1", told(*frames(1), tallies=[tally(2**64 - 1, 2**64 - 1, 2**64 - 1, -(2**63))]))
    assert books(plane.fleet.database, "quay-1", "e1").told_waiting == MOST_COUNT


# ---- agents that number all classes in one line ----


def test_what_lies_below_the_ranges_that_are_kept_is_acknowledged_and_counted_once(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holes are many in such a line; the least important class comes last, and with the lowest numbers."""
    monkeypatch.setattr(numbers, "MOST_RANGES", 3)
    for seq in (10, 20, 30, 40):
        plane.hear("quay-1", told(*frames(seq), start=""))
    for _ in range(2):
        plane.hear("quay-1", told(*frames(10), wire.Record(seq=5, node=wire.NodeStats()), start=""))
        assert {(5, 5), (10, 10)} <= set(said(plane.acknowledged()[-1])[1])
    plane.hear("quay-1", told(*frames(1, 2), start=""))
    assert said(plane.acknowledged()[-1])[1][0] == (1, 2)
    assert books(plane.fleet.database, "quay-1", "e1").stored == stored(plane.fleet.database, "quay-1", "e1")[0] == 7
    assert plane.figure("longshore_ingest_repeated_records_total") == 3
    with plane.fleet.database.read() as session:
        assert len(session.execute(select(UNROLLED)).all()) == 1, "figures are added to their minute once"


def test_a_row_whose_day_was_guessed_is_stored_once_whatever_day_its_box_tells(plane: Plane) -> None:
    """Of health and figures from before migration 0013 the box's own day was not known."""
    health = wire.CameraHealth(camera="gate", state="online", at_unix_ms=plane.fleet.now_ms)
    records = [wire.Record(seq=1, camera=health), wire.Record(seq=2, node=wire.NodeStats(at_unix_ms=9))]
    plane.hear("quay-1", told(*records))
    with plane.fleet.database.begin() as session:
        session.query(tables.Epoch).delete()
        for table in (tables.CameraHealth, tables.NodeStat):
            session.query(table).update({"told_day": 12, "digest": None})
    plane.hear("quay-1", told(*records))
    assert stored(plane.fleet.database, "quay-1", "e1") == (2, 0)
    assert plane.figure("longshore_ingest_repeated_records_total") == 2
