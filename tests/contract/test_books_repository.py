"""Books and their recount, on both databases."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from sqlalchemy import delete, update

from controlplane.books.checking import Code
from controlplane.books.domain import Sums
from controlplane.books.repository import Wanted
from controlplane.books.service import BooksService
from controlplane.db import Database
from controlplane.ingest.domain import Kind
from controlplane.ingest.service import IngestService
from controlplane.insights.matching import place
from controlplane.rollups.service import RollupService
from controlplane.settings.domain import DAY_MS, Spec
from controlplane.settings.repository import SettingsRepository
from controlplane.settings.service import SettingsService
from controlplane.tables import Detection, Epoch, NodeStat
from tests.sim.books_data import SimBox
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet

NODE = "quay-1"


@dataclass
class Plane:
    database: Database
    clock: FakeClock

    def __post_init__(self) -> None:
        self.ingest = IngestService(self.database, self.clock)
        self.books = BooksService(self.database, self.clock)

    @property
    def now_ms(self) -> int:
        return int(self.clock.unix() * 1000)

    def keep(self, kept_ms: int) -> None:
        """Records, from now on, for so long; what is older by then goes."""
        SettingsService(self.database, self.clock).ensure()
        with self.database.begin() as session:
            settings = SettingsRepository(session)
            about = settings.meta()
            assert about is not None
            settings.put(about, replace(Spec(), detections_retention_ms=kept_ms, telemetry_retention_ms=kept_ms))
        RollupService(self.database, self.clock).prepare()
        while self.ingest.sweep():
            pass

    def codes(self) -> set[Code]:
        return {each.code for each in self.books.verify(NODE).deviations}


@pytest.fixture
def plane(database: Database, clock: FakeClock) -> Plane:
    SimFleet(database, clock).join(NODE)
    return Plane(database, clock)


@pytest.fixture
def box(plane: Plane) -> SimBox:
    made = SimBox(plane, NODE)
    for record_class, count in (("alarm", 2), ("detection", 40), ("metric", 12), ("debug", 30)):
        made.accept(record_class, count)
    made.declare("debug", 5, 9)
    made.declare("debug", 10, 14, at_least=True)
    made.settle()
    return made


def test_books_of_a_box_and_of_the_fleet_add_up_the_same(plane: Plane, box: SimBox) -> None:
    box.accept("metric", 5)
    box.deliver("metric", 14, 16)
    box.tell("metric", oldest_ms=plane.now_ms)
    kept, fleet = plane.books.node(NODE), plane.books.fleet()
    assert kept.total == fleet.total == Sums(91, 79, 10, 2, 0, plane.now_ms)
    assert kept.classes == fleet.classes
    assert fleet.open[NODE].total.waiting == 2


def test_what_was_dropped_is_told_by_reason_by_time_and_one_by_one(plane: Plane, box: SimBox) -> None:
    box.declare("metric", 13, 13, "the disk was full", ago_ms=3 * DAY_MS)
    found = {(each.record_class, each.reason): each for each in plane.books.node(NODE).dropped}
    full = found["debug", "the outbox was full"]
    assert (full.records, full.gaps, full.lower_bound) == (10, 2, True)
    assert not found["metric", "the disk was full"].lower_bound
    wanted = Wanted(plane.now_ms - 7 * DAY_MS, plane.now_ms + 1)
    sums = plane.books.gap_sums(wanted, DAY_MS)
    today = plane.now_ms // DAY_MS * DAY_MS
    assert sorted(sums) == [(today - 3 * DAY_MS, "metric", 1), (today, "debug", 10)]
    first = plane.books.gaps(wanted, 2)
    rest = plane.books.gaps(wanted, 2, place(str(first.after)))
    assert [row.first_seq for row in (*first.gaps, *rest.gaps)] == [10, 5, 13]
    assert rest.after is None
    assert [row.first_seq for row in plane.books.gaps(Wanted(0, plane.now_ms + 1, reason="disk"), 9).gaps] == [13]


def test_a_recount_finds_nothing_where_nothing_is_wrong(plane: Plane, box: SimBox) -> None:
    box.deliver("detection", 45, 50)
    assert plane.codes() == set()
    assert plane.books.verify(NODE).rows == 82


def test_a_recount_finds_what_is_wrong(plane: Plane, box: SimBox) -> None:
    for seq in (7, 8, 20):
        box.spoil("detection", seq)
    box.put(Kind.CAMERA, "metric", 3)
    assert plane.codes() == {Code.MISSING, Code.HOLE, Code.UNCOUNTED, Code.TWICE}
    assert any("(the first: 7–8, 20)" in each.sentence for each in plane.books.verify(NODE).deviations)


def test_what_a_shorter_retention_took_is_not_missed_when_it_is_longer_again(plane: Plane, box: SimBox) -> None:
    plane.clock.tick(3 * DAY_MS / 1000)
    plane.keep(DAY_MS)
    plane.keep(30 * DAY_MS)
    found = plane.books.verify(NODE)
    assert (found.rows, found.swept, found.deviations) == (2, 74, [])  # Gaps stay


def test_what_went_whole_with_its_part_is_not_missed_when_retention_is_longer_again(plane: Plane) -> None:
    """On PostgreSQL; on SQLite the rows go by themselves."""
    plane.keep(DAY_MS)
    box = SimBox(plane, NODE)
    box.accept("metric", 12)
    box.settle()
    today = int(plane.clock.unix() * 1000) // DAY_MS
    with plane.database.begin() as session:
        session.execute(update(NodeStat).values(told_day=today))  # into the part of today
    plane.clock.tick(3 * DAY_MS / 1000)
    RollupService(plane.database, plane.clock).prepare()
    assert plane.books.verify(NODE).rows == (0 if plane.database.shared else 12)
    plane.keep(30 * DAY_MS)
    while plane.ingest.sweep():
        pass
    assert plane.codes() == set()


def test_what_began_after_all_that_retention_took_is_missed_when_it_is_gone(plane: Plane, box: SimBox) -> None:
    plane.clock.tick(3 * DAY_MS / 1000)
    plane.keep(DAY_MS)
    young = SimBox(plane, NODE, "s2", "s1")
    young.accept("detection", 5)
    young.settle()
    plane.clock.tick(20 * DAY_MS / 1000)  # nothing is taken meanwhile
    young.spoil("detection", 2)
    assert plane.codes() == {Code.MISSING, Code.HOLE}


def test_a_retention_that_took_nothing_excuses_nothing(plane: Plane, box: SimBox) -> None:
    plane.clock.tick(3 * DAY_MS / 1000)
    plane.keep(30 * DAY_MS)
    box.spoil("detection", 7)
    assert plane.codes() == {Code.MISSING, Code.HOLE}


def test_records_without_a_line_are_found(plane: Plane, box: SimBox) -> None:
    with plane.database.begin() as session:
        session.execute(delete(Epoch).where(Epoch.record_class == "alarm"))
    assert plane.codes() == {Code.UNCOUNTED}
    with plane.database.begin() as session:
        session.execute(delete(Epoch))
        session.execute(update(Detection).values(digest=None))  # as those of before there were books
    assert {each.epoch for each in plane.books.verify(NODE).deviations} == {
        box.epoch(record_class) for record_class in ("alarm", "metric", "gap")
    }


def test_conflicts_are_told_of_one_box_and_of_all(plane: Plane, box: SimBox) -> None:
    for start in ("s2", "s3"):
        SimBox(plane, NODE, start, "s1").begin()
    box.clash("metric", 2)
    assert {each.kind for each in plane.books.conflicts()} == {"start", "record"}
    assert plane.books.conflicts() == plane.books.conflicts(NODE)
    assert len(plane.books.fleet().conflicts) == 2
