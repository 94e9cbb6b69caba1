"""From a message to a row and an acknowledgement."""

from __future__ import annotations

import logging
import threading

import pytest

from agent.telemetry import records
from agent.telemetry.records import RecordClass, Waiting
from controlplane.ingest import loop as ingest_loop
from controlplane.ingest.service import DAY_MS, KEEP_DAYS, IngestService, Stored
from controlplane.insights.repository import Only
from controlplane.ports import Message
from protos import telemetry_pb2 as wire
from protos.errors import Retryable
from protos.ids import NodeId
from protos.topics import Channel
from tests.sim.ingest import Plane
from tests.sim.telemetry import draft


def batch(*numbers: int, epoch: str = "e1") -> bytes:
    """Frames under these numbers, exactly as a box sends them."""
    rows = [Waiting(RecordClass.FRAME, number, draft(RecordClass.FRAME, number).body) for number in numbers]
    return records.batch(epoch, rows)


def frames(plane: Plane) -> list[int]:
    return sorted(row.seq for row in plane.insights.detections(Only(), 0, 1000))


def test_records_are_stored_and_acknowledged_to_their_box(plane: Plane) -> None:
    plane.hear("quay-1", batch(1, 2, 4))
    assert frames(plane) == [1, 2, 4]
    assert plane.source.acknowledged[0][0] == "quay-1"
    (ack,) = plane.acknowledged()
    assert [(each.first, each.last) for each in ack.stored] == [(1, 2), (4, 4)]


def test_the_same_records_again_are_stored_once_and_acknowledged_again(plane: Plane) -> None:
    for _ in range(3):
        plane.hear("quay-1", batch(1, 2))
    plane.loop.handle([Message(NodeId("quay-1"), Channel.TELEMETRY, batch(2, 3))] * 2)
    assert frames(plane) == [1, 2, 3]
    assert len(plane.acknowledged()) == 4


def test_what_is_stored_first_stays(plane: Plane) -> None:
    plane.hear("quay-1", batch(1))
    forged = records.batch("e1", [Waiting(RecordClass.FRAME, 1, draft(RecordClass.FRAME, 999).body)])
    plane.hear("quay-1", forged)
    (row,) = plane.insights.detections(Only(), 0, 10)
    assert row.frame_seq == 1


def test_every_kind_of_record_finds_its_table(plane: Plane) -> None:
    kinds = (RecordClass.FRAME, RecordClass.OUTCOMES, RecordClass.CAMERA, RecordClass.NODE)
    rows = [Waiting(kind, seq, draft(kind, seq).body) for seq, kind in enumerate(kinds, 1)]
    gap = records.gap(records.Gap(RecordClass.FRAME, 90, 99, 10, "the outbox was full"))
    plane.hear("quay-1", records.batch("e1", [*rows, Waiting(RecordClass.GAP, 5, gap)]))
    assert plane.insights.stored("quay-1", "e1") == (5, 10)


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


def test_a_broken_record_does_not_hold_up_its_neighbours(plane: Plane) -> None:
    payload = wire.TelemetryBatch.FromString(batch(1, 2))
    payload.records[0].frame.camera = "../../etc"
    plane.hear("quay-1", payload.SerializeToString())
    assert frames(plane) == [2]
    assert plane.figure("longshore_ingest_refused_records_total") == 1
    (ack,) = plane.acknowledged()
    assert [(each.first, each.last) for each in ack.stored] == [(1, 2)]


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
    plane.source.put(Message(NodeId("quay-1"), Channel.TELEMETRY, batch(1)))
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
    gap = records.gap(records.Gap(RecordClass.FRAME, 1, 2, 2, "full"))
    plane.hear("quay-1", batch(5))
    plane.hear("quay-1", records.batch("e1", [Waiting(RecordClass.GAP, 6, gap)]))
    plane.fleet.clock.tick(KEEP_DAYS * DAY_MS / 1000 + 1)
    plane.hear("quay-1", batch(7))
    assert plane.ingest.sweep() == 1
    assert frames(plane) == [7]
    assert plane.insights.stored("quay-1", "e1") == (2, 2)
