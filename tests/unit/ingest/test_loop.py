"""From a message to a row and an acknowledgement."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TypeVar

import pytest
from sqlalchemy import event, select

from agent.telemetry import records
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Draft, NodeStats, OutcomeWindow, Waiting
from agent.types import CameraState
from controlplane import tables
from controlplane.adapters.telemetry_memory import MemoryTelemetryIn
from controlplane.ingest import loop as ingest_loop
from controlplane.ingest import service
from controlplane.ingest.domain import Batch
from controlplane.ingest.service import IngestService, Stored
from controlplane.insights.matching import Wanted
from controlplane.settings.domain import Spec
from controlplane.settings.service import SettingsService
from protos import telemetry_pb2 as wire
from protos.errors import Rejected, Retryable
from protos.outcomes import Outcome
from protos.topics import Channel
from tests.sim.ingest import Plane
from tests.sim.stored import stored
from tests.sim.telemetry import TAP, draft, finished, stats

ALL = Wanted(0, 1 << 62)

Row = TypeVar("Row", bound=tables.RecordColumns)


def batch(*numbers: int, epoch: str = "e1") -> bytes:
    """Frames under these numbers, exactly as a box sends them."""
    rows = [Waiting(RecordClass.DETECTION, number, draft(RecordClass.DETECTION, number).body) for number in numbers]
    return records.batch(epoch, rows)


def rows(plane: Plane, table: type[Row]) -> list[Row]:
    with plane.fleet.database.read() as session:
        return list(session.scalars(select(table)))


def frames(plane: Plane) -> list[int]:
    return sorted(each.row.seq for each in plane.insights.detections(ALL, 1000).items)


def test_records_are_stored_and_acknowledged_to_their_box(plane: Plane) -> None:
    plane.hear("quay-1", batch(1, 2, 4))
    assert frames(plane) == [1, 2, 4]
    assert plane.source.acknowledged[0][0] == "quay-1"
    (ack,) = plane.acknowledged()
    assert [(each.first, each.last) for each in ack.stored] == [(1, 2), (4, 4)]


def test_the_same_records_again_are_stored_once_and_acknowledged_again(plane: Plane) -> None:
    for _ in range(3):
        plane.hear("quay-1", batch(1, 2))
    plane.loop.handle([plane.message("quay-1", batch(2, 3))] * 2)
    assert frames(plane) == [1, 2, 3]
    assert len(plane.acknowledged()) == 4


def test_what_is_stored_first_stays(plane: Plane) -> None:
    plane.hear("quay-1", batch(1))
    forged = records.batch("e1", [Waiting(RecordClass.DETECTION, 1, draft(RecordClass.DETECTION, 999).body)])
    plane.hear("quay-1", forged)
    (found,) = plane.insights.detections(ALL, 10).items
    row = found.row
    assert row.frame_seq == 1


def test_every_kind_of_record_finds_its_table(plane: Plane) -> None:
    drafts = (draft(), draft(RecordClass.METRIC), draft(RecordClass.ALARM), stats())
    rows = [Waiting(each.record_class, seq, each.body) for seq, each in enumerate(drafts, 1)]
    gap = records.gap(records.Gap(RecordClass.DETECTION, 90, 99, 10, "the outbox was full"))
    plane.hear("quay-1", records.batch("e1", [*rows, Waiting(RecordClass.GAP, 5, gap)]))
    assert stored(plane.fleet.database, "quay-1", "e1") == (5, 10)


def test_another_epoch_is_another_line_of_numbers(plane: Plane) -> None:
    plane.hear("quay-1", batch(1))
    plane.hear("quay-1", batch(1, epoch="e2"))
    assert frames(plane) == [1, 1]


def test_a_box_that_is_not_in_the_fleet_is_neither_stored_nor_acknowledged(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps everything; when it joins again under its name, all of it comes."""
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            plane.hear("stranger", batch(1))
    assert (frames(plane), plane.acknowledged()) == ([], [])
    assert plane.figure("longshore_ingest_messages_total", result="unknown") == 3
    assert caplog.text.count("not in the fleet") == 1
    plane.fleet.join("stranger")
    plane.hear("stranger", batch(1))
    assert len(plane.acknowledged()) == 1


def test_a_deleted_box_is_unknown(plane: Plane) -> None:
    plane.fleet.service.delete_node("quay-1")
    plane.hear("quay-1", batch(1))
    assert plane.acknowledged() == []


def test_garbage_is_counted_told_once_and_stops_nothing(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            plane.hear("quay-1", b"\xff garbage")
    plane.hear("quay-1", batch(1))
    assert frames(plane) == [1]
    assert plane.figure("longshore_ingest_messages_total", result="malformed") == 5
    assert caplog.text.count("no TelemetryBatch") == 1


def test_a_broken_record_does_not_hold_up_its_neighbours_and_leaves_a_gap_so_that_all_adds_up(plane: Plane) -> None:
    payload = wire.TelemetryBatch.FromString(batch(1, 2))
    payload.records[0].frame.outcome = "splendid"
    plane.hear("quay-1", payload.SerializeToString())
    assert frames(plane) == [2]
    assert plane.figure("longshore_ingest_refused_records_total") == 1
    (ack,) = plane.acknowledged()
    assert [(each.first, each.last) for each in ack.stored] == [(1, 2)]
    assert stored(plane.fleet.database, "quay-1", "e1") == (2, 0)
    (gap,) = rows(plane, tables.Gap)
    assert (gap.seq, gap.record_class, gap.first_seq, gap.last_seq) == (1, "frame", 1, 1)
    assert gap.reason == "refused: 'splendid' is no outcome this control plane knows"


@pytest.mark.parametrize("mistake", [ValueError("of ours"), Rejected("a value no database holds")])
def test_a_message_that_cannot_be_stored_costs_only_its_own_box(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mistake: Exception
) -> None:
    store = IngestService.store

    def poisoned(self: IngestService, batches: Sequence[Batch]) -> Stored:
        if any(each.epoch == "poison" for each in batches):
            raise mistake
        return store(self, batches)

    monkeypatch.setattr(IngestService, "store", poisoned)
    plane.fleet.join("quay-2")
    messages = [plane.message("quay-1", batch(1)), plane.message("quay-2", batch(1, epoch="poison"))]
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            plane.loop.handle([*messages, plane.message("quay-1", batch(2))])
    assert frames(plane) == [1, 2]
    assert {node for node, _ in plane.source.acknowledged} == {"quay-1"}
    assert plane.figure("longshore_ingest_messages_total", result="refused") == 3
    assert caplog.text.count("telemetry of quay-2: a message can't be stored") == 1
    assert str(mistake) in caplog.text, "the log says what went wrong"


def test_a_transaction_holds_so_many_records_and_no_more_than_its_last_message_beyond(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_loop, "MOST_RECORDS", 4)
    store, sizes = IngestService.store, []

    def seen(self: IngestService, batches: Sequence[Batch]) -> Stored:
        sizes.append([each.records for each in batches])
        return store(self, batches)

    monkeypatch.setattr(IngestService, "store", seen)
    parts = [batch(*range(first, first + 3)) for first in range(1, 16, 3)]
    plane.loop.handle([plane.message("quay-1", each) for each in parts])
    assert [each for each in sizes if each] == [[3, 3], [3, 3], [3]]
    assert frames(plane) == list(range(1, 16))


def test_whether_the_broker_lets_us_hear_the_boxes_is_a_metric(plane: Plane) -> None:
    assert plane.figure("longshore_ingest_connected") == 1
    deaf = Plane(plane.fleet, plane.ingest, plane.insights, MemoryTelemetryIn("the broker is away"))
    assert deaf.figure("longshore_ingest_connected") == 0


# ---- clocks ----

DAY = 86_400_000  # ms
ALL_KINDS = (tables.Detection, tables.OutcomeCount, tables.CameraHealth, tables.NodeStat, tables.Gap)


def told_at(unix_ms: int, sent_ms: int) -> bytes:
    """One record of each kind that speaks of `unix_ms`, sent at `sent_ms`, both by the box's clock."""
    drafts = [
        records.frame(finished(captured_unix_ns=unix_ms * 1_000_000 + 7)),
        records.outcomes(OutcomeWindow(TAP, unix_ms - 2000, unix_ms, {Outcome.OK_LOCAL: 1})),
        records.camera_health(TAP.camera, CameraState.RUNNING, "", unix_ms),
        records.node_stats(NodeStats(0.5, 1, 1), 0, 0, unix_ms),
        Draft(RecordClass.GAP, records.gap(records.Gap(RecordClass.DETECTION, 90, 99, 10, "full"))),
    ]
    waiting = [Waiting(each.record_class, seq, each.body) for seq, each in enumerate(drafts, 1)]
    return records.stamped(records.batch("e1", waiting), sent_ms)


@pytest.mark.parametrize("wrong", [-DAY, DAY], ids=["a day slow", "a day fast"])
def test_what_a_box_with_a_wrong_clock_tells_stands_at_the_right_time(plane: Plane, wrong: int) -> None:
    now = plane.fleet.now_ms
    plane.hear("quay-1", told_at(now - 5_000 + wrong, now + wrong))
    found = {table: rows(plane, table)[0] for table in ALL_KINDS}
    assert {row.at_ms for table, row in found.items() if table is not tables.Gap} == {now - 5_000}
    assert found[tables.Gap].at_ms == now
    (frame,), (window,) = rows(plane, tables.Detection), rows(plane, tables.OutcomeCount)
    assert frame.captured_unix_ns == (now - 5_000 + wrong) * 1_000_000 + 7, "the box's word stays"
    assert window.end_ms == now - 5_000 + wrong


def test_what_comes_after_an_outage_stands_where_it_happened(plane: Plane) -> None:
    now = plane.fleet.now_ms
    plane.hear("quay-1", told_at(now - 3 * DAY - DAY // 2, now - DAY // 2))
    assert rows(plane, tables.Detection)[0].at_ms == now - 3 * DAY


def test_waiting_for_the_database_moves_nothing(plane: Plane) -> None:
    now = plane.fleet.now_ms
    message = plane.message("quay-1", told_at(now - 5_000, now))
    plane.fleet.clock.tick(3_600)
    plane.loop.handle([message])
    assert rows(plane, tables.Detection)[0].at_ms == now - 5_000


# ---- presence and old rows ----


def test_while_the_database_is_away_nothing_is_acknowledged_and_then_everything(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_loop, "RETRY_SECONDS", 0.001)
    store, away = IngestService.store, [3]

    def failing(self: IngestService, batches: list[object]) -> Stored:
        away[0] -= 1
        if away[0] >= 0:
            assert plane.acknowledged() == []
            raise Retryable("the database is away")
        return store(self, batches)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(IngestService, "store", failing)
    plane.hear("quay-1", batch(1))
    assert frames(plane) == [1]
    assert len(plane.acknowledged()) == 1


def test_the_thread_ends_when_told_even_if_the_database_is_away(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def failing(_self: IngestService, _batches: object) -> Stored:
        tried.set()
        raise Retryable("the database is away")

    monkeypatch.setattr(IngestService, "store", failing)
    plane.loop.start()
    plane.source.put(plane.message("quay-1", batch(1)))
    assert tried.wait(10)
    plane.loop.stop()
    assert not plane.loop.alive
    assert plane.acknowledged() == []


def test_birth_and_will_turn_a_box_online_and_offline(plane: Plane) -> None:
    def said(*, online: bool) -> bytes:
        return records.presence(online=online, at_unix_ms=1, boot_id="boot-1", agent_version="0.1.0")

    def phase() -> str:
        return str(plane.fleet.service.get_node("quay-1")["status"]["phase"])

    box = plane.fleet.join("quay-2")
    box.sync()
    plane.hear("quay-2", said(online=False), Channel.PRESENCE)
    assert plane.fleet.service.get_node("quay-2")["status"]["phase"] == "Offline"
    plane.hear("quay-2", said(online=True), Channel.PRESENCE)
    assert plane.fleet.service.get_node("quay-2")["status"]["phase"] == "Online"
    plane.hear("quay-2", said(online=False), Channel.PRESENCE, retained=True)
    assert plane.fleet.service.get_node("quay-2")["status"]["phase"] == "Online"
    plane.hear("quay-2", b"\xff", Channel.PRESENCE)
    assert phase() == "Joined"


def test_old_telemetry_goes_and_gaps_stay(plane: Plane) -> None:
    gap = records.gap(records.Gap(RecordClass.DETECTION, 1, 2, 2, "full"))
    plane.hear("quay-1", batch(5))
    plane.hear("quay-1", records.batch("e1", [Waiting(RecordClass.GAP, 6, gap)]))
    plane.fleet.clock.tick(Spec().detections_retention_ms / 1000 + 1)
    plane.hear("quay-1", batch(7))
    assert plane.ingest.sweep() == 1
    assert frames(plane) == [7]
    assert stored(plane.fleet.database, "quay-1", "e1") == (2, 2)


def test_detections_and_telemetry_are_kept_as_long_as_the_settings_say(plane: Plane) -> None:
    spec = {"detections": {"retention": "1h"}, "telemetry": {"retention": "2d"}}
    SettingsService(plane.fleet.database, plane.fleet.clock).apply("fleet", {"spec": spec})
    plane.hear("quay-1", batch(1, 2))
    plane.hear("quay-1", records.batch("e1", [Waiting(RecordClass.METRIC, 3, draft(RecordClass.METRIC).body)]))
    swept = []
    for hours in (0.9, 0.2, 46, 2):
        plane.fleet.clock.tick(hours * 3600)
        swept.append(plane.ingest.sweep())
    assert swept == [0, 2, 0, 1]


def test_a_sweep_goes_in_parts_so_that_boxes_need_not_wait(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SWEEP_ROWS", 3)
    plane.hear("quay-1", batch(*range(1, 8)))
    plane.fleet.clock.tick(Spec().detections_retention_ms / 1000 + 1)
    assert [plane.ingest.sweep() for _ in range(4)] == [3, 3, 1, 0]


def test_a_sweep_reads_no_row_that_stays(plane: Plane) -> None:
    told: list[tuple[str, tuple[int, ...]]] = []
    engine = plane.fleet.database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: told.append(given[2:4]))
    plane.ingest.sweep()
    deletes = [(statement, values) for statement, values in told if statement.startswith("DELETE")]
    assert len(deletes) == 4
    with engine.connect() as connection:
        for statement, values in deletes:
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
            assert "stored_ms<" in plan, plan
            assert "SCAN" not in plan, plan


def test_what_waits_for_the_database_is_told_in_messages_and_bytes(plane: Plane) -> None:
    for payload in (b"123", b"45"):
        plane.source.put(plane.message("quay-1", payload))
    assert plane.figure("longshore_ingest_queue_messages") == 2
    assert plane.figure("longshore_ingest_queue_bytes") == 5
    plane.source.receive(10, 0)
    assert plane.figure("longshore_ingest_queue_bytes") == 0
