"""What is known of lines of numbers, starts and conflicts is forgotten when it is old, and never too early."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from controlplane import tables
from controlplane.books.service import BooksService
from controlplane.db import Database
from controlplane.ingest import domain
from controlplane.ingest.repository import IngestRepository
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from controlplane.settings.domain import Spec
from protos import telemetry_pb2 as wire
from protos.errors import Retryable
from protos.ids import NodeId
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.ingest import Plane, frame_record, told
from tests.sim.stored import books

DAY = 86_400
AGES = domain.books_kept(Spec()) / 1000 + 33 * DAY  # with what parts take longer


@pytest.fixture
def plane(database: Database, clock: FakeClock) -> Plane:
    fleet = SimFleet(database, clock)
    fleet.join("quay-1")
    return Plane(fleet, IngestService(database, clock), InsightsService(database, clock))


def tell(plane: Plane, start: str, before: str = "", *seqs: int, epoch: str = "", **other: object) -> None:
    epoch = epoch or f"e{start}"
    records = [frame_record(seq, seq) for seq in seqs]
    plane.hear("quay-1", told(*records, epoch=epoch, start=start, before=before, **other))


def tally(epoch: str, accepted: int, waiting: int) -> wire.Tally:
    return wire.Tally(epoch=epoch, record_class="detection", accepted=accepted, waiting=waiting)


def swept(plane: Plane) -> None:
    while plane.ingest.sweep():
        pass


def names(plane: Plane) -> tuple[Sequence[str], Sequence[str]]:
    """Lines and starts that are known."""
    with plane.fleet.database.read() as session:
        lines = session.scalars(select(tables.Epoch.epoch).order_by(tables.Epoch.epoch)).all()
        return lines, session.scalars(select(tables.AgentStart.start).order_by(tables.AgentStart.start)).all()


def later(plane: Plane, start: str, before: str, days: float = 1.0, tallies: Sequence[wire.Tally] = ()) -> None:
    """A start that tells for so long, from long after on."""
    plane.fleet.clock.tick(AGES)
    tell(plane, start, before, 1, tallies=tallies)
    plane.fleet.clock.tick(days * DAY)
    tell(plane, start, before, 2)


def test_lines_and_starts_are_forgotten_when_later_starts_have_told_for_a_day(plane: Plane) -> None:
    tell(plane, "s1", "", 1, 2)
    tell(plane, "s2", "s1", 1)
    later(plane, "s3", "s2")
    swept(plane)
    assert names(plane) == (["es3"], ["s2", "s3"])  # and the one that the newest follows


def test_a_line_is_kept_until_later_starts_have_told_for_a_day(plane: Plane) -> None:
    tell(plane, "s1", "", 1, 2)
    later(plane, "s2", "s1", days=0.99)
    swept(plane)
    assert names(plane)[0] == ["es1", "es2"]


def test_a_line_of_which_a_later_start_tells_is_kept_and_what_comes_again_of_it_counts_once(plane: Plane) -> None:
    """A box was dark for longer than anything is kept, and nobody told it that these were stored."""
    tell(plane, "s1", "", 1, 2)
    later(plane, "s2", "s1", tallies=[tally("es1", 2, 2)])
    swept(plane)
    tell(plane, "s2", "s1", 1, 2, epoch="es1")
    assert books(plane.fleet.database, "quay-1", "es1").stored == 2
    assert plane.figure("longshore_ingest_repeated_records_total") == 2


def test_a_box_that_is_silent_keeps_its_lines_and_starts(plane: Plane) -> None:
    tell(plane, "s1", "", 1, 2)
    tell(plane, "s2", "s1", 1)
    plane.fleet.clock.tick(10 * AGES)
    swept(plane)
    assert names(plane) == (["es1", "es2"], ["s1", "s2"])


def test_a_start_that_runs_for_years_keeps_the_lines_of_which_nothing_came_of_late(plane: Plane) -> None:
    """It goes on with their numbers when it has something to say."""
    tell(plane, "s1", "", 1, 2, epoch="alarms")
    for number in range(1, 5):
        tell(plane, "s1", "", number, epoch="figures")
        plane.fleet.clock.tick(AGES / 2)
        swept(plane)
    assert names(plane) == (["alarms", "figures"], ["s1"])


def test_a_line_of_which_something_is_left_is_kept(plane: Plane) -> None:
    """Gaps are never forgotten: neither their own line, nor the one of which they tell."""
    gap = wire.Gap(record_class="debug", first_seq=3, last_seq=4, dropped=2, reason="full", epoch="es1")
    tell(plane, "s1", "", 1, 2)
    plane.hear("quay-1", told(wire.Record(seq=1, gap=gap), epoch="gaps", start="s1"))
    later(plane, "s2", "s1")
    swept(plane)
    assert names(plane)[0] == ["es1", "es2", "gaps"]


def test_after_forgetting_the_books_of_the_box_are_true(plane: Plane) -> None:
    tell(plane, "s1", "", 1, 2, tallies=[tally("es1", 2, 0)])
    later(plane, "s2", "s1", tallies=[tally("es2", 1, 0)])
    swept(plane)
    found = BooksService(plane.fleet.database, plane.fleet.clock).verify("quay-1")
    assert (found.lines, found.deviations, found.kept.total.unaccounted) == (1, [], 0)


def test_conflicts_are_forgotten_too(plane: Plane) -> None:
    tell(plane, "s1", "", 1)
    plane.hear("quay-1", told(frame_record(1, 500), epoch="es1"))
    service = BooksService(plane.fleet.database, plane.fleet.clock)
    swept(plane)
    assert [each.kind for each in service.conflicts()] == ["record"]
    plane.fleet.clock.tick(AGES)
    swept(plane)
    assert service.conflicts() == []


def test_conflicts_are_kept_for_a_month_whatever_the_settings_say() -> None:
    least = Spec(60_000, 60_000, minutes_retention_ms=60_000, hours_retention_ms=60_000)
    assert domain.books_kept(least) == 30 * DAY * 1000
    assert domain.books_kept(Spec()) == Spec().hours_retention_ms


def test_two_outboxes_whose_first_starts_are_forgotten_are_still_two_boxes_to_the_fleet(plane: Plane) -> None:
    for each in "ab":
        tell(plane, f"{each}1", f"{each}0", 1)  # what came before them was forgotten
    plane.fleet.clock.tick(600)
    for each in "ab":
        tell(plane, f"{each}1", f"{each}0", 2)
    service = BooksService(plane.fleet.database, plane.fleet.clock)
    assert [each.kind for each in service.conflicts()] == ["outbox"]
    assert service.conflicts() == service.conflicts("quay-1")


@pytest.mark.postgres
def test_a_line_that_another_control_plane_writes_is_passed_over(postgres_url: str, clock: FakeClock) -> None:
    """Neither waits for the other, and what was heard in the same moment is not forgotten."""
    from controlplane.migrations.migrate import migrate

    database = Database(postgres_url)
    migrate(database)
    fleet = SimFleet(database, clock)
    fleet.join("quay-1")
    plane = Plane(fleet, IngestService(database, clock), InsightsService(database, clock))
    tell(plane, "s1", "", 1)
    later(plane, "s2", "s1")
    with database.begin() as session:
        IngestRepository(session).locked([(NodeId("quay-1"), "es1")])
        ended = threading.Thread(target=swept, args=[plane])
        ended.start()
        ended.join(30)
        assert not ended.is_alive()
    assert names(plane)[0] == ["es1", "es2"]
    database.close()


def test_a_line_that_is_forgotten_while_it_is_looked_for_is_begun_at_the_next_try(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another control plane forgets it between the question and the lock."""
    tell(plane, "s1", "", 1)
    seen = IngestRepository._found
    with plane.fleet.database.begin() as session:
        repository = IngestRepository(session)

        def found(self: IngestRepository, *args: object) -> object:
            rows = list(seen(self, *args))  # type: ignore[arg-type]
            session.query(tables.Epoch).delete()
            return rows

        monkeypatch.setattr(IngestRepository, "_found", found)
        with pytest.raises(Retryable, match="forgotten"):
            repository.locked([(NodeId("quay-1"), "es1")])
