"""Records as they travel."""

from __future__ import annotations

import pytest
from msgspec import structs

from agent.telemetry import records
from agent.telemetry.books import Tally
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Gap, Waiting
from agent.types import CameraState
from protos import telemetry_pb2 as wire
from protos.errors import Rejected
from protos.ids import CameraName
from protos.outcomes import Outcome
from tests.sim.telemetry import BOX, CROSSED, DWELT, RELEASE, draft, finished


def sent(*drafts: records.Draft) -> wire.TelemetryBatch:
    rows = [Waiting(each.record_class, seq, each.body) for seq, each in enumerate(drafts, 1)]
    return wire.TelemetryBatch.FromString(records.batch("e1", rows))


def test_a_frame_result_carries_capture_time_release_place_and_boxes() -> None:
    batch = sent(records.frame(finished(7, Outcome.OK_CLOUD, 0.125, where="cloud-1", ts_source="clock")))
    record = batch.records[0]
    assert (batch.epoch, record.seq) == ("e1", 1)
    assert record.frame.captured_unix_ns == 1_795_000_000_000_000_007
    assert (record.frame.release_digest, record.frame.where, record.frame.outcome) == (RELEASE, "cloud-1", "ok_cloud")
    assert record.frame.latency_seconds == pytest.approx(0.125)
    assert record.frame.boxes[0].label == BOX.label
    assert record.frame.boxes[0].x1 == pytest.approx(BOX.x1)


def test_a_frame_result_carries_numbers_and_what_happened() -> None:
    told = finished(boxes=(BOX, structs.replace(BOX, track=12)), happened=(CROSSED, DWELT))
    frame = sent(records.frame(told)).records[0].frame
    assert [box.track for box in frame.boxes] == [0, 12]
    crossed, dwelt = frame.happened
    assert (crossed.what, crossed.place, crossed.direction) == ("crossed", "gate", "left-to-right")
    assert (dwelt.what, dwelt.place, dwelt.direction, dwelt.seconds) == ("dwelt", "berth", "", 30.25)
    assert (dwelt.label, dwelt.track) == ("boat", 3)


def test_a_frame_with_absurdly_many_boxes_is_cut_to_a_size_that_travels() -> None:
    crowded = finished(boxes=(BOX,) * 5000)
    assert len(sent(records.frame(crowded)).records[0].frame.boxes) == records.MAX_BOXES


def test_a_long_reason_is_cut() -> None:
    long = records.camera_health(CameraName("quay"), CameraState.RETRYING, "x" * 9000, 1)
    assert len(sent(long).records[0].camera.reason) == records.MAX_REASON


KINDS = {
    RecordClass.DEBUG: "frame",
    RecordClass.METRIC: "outcomes",
    RecordClass.DETECTION: "frame",
    RecordClass.ALARM: "camera",
}


@pytest.mark.parametrize(("record_class", "kind"), KINDS.items())
def test_each_class_travels_under_its_own_name(record_class: RecordClass, kind: str) -> None:
    assert draft(record_class).record_class is record_class
    assert sent(draft(record_class)).records[0].WhichOneof("body") == kind


def test_a_batch_tells_who_sends_it_and_where_the_books_stand() -> None:
    tally = Tally("e1", RecordClass.ALARM, 9, 2, 3, 1_000)
    old = Tally("e0", None, 5, 0, 0, 0)
    payload = records.batch("e1", [], historical=True, start="s2", before="s1", tallies=[tally, old])
    batch = wire.TelemetryBatch.FromString(payload)
    assert (batch.historical, batch.start, batch.before) == (True, "s2", "s1")
    told, of_old = batch.tallies
    assert (told.epoch, told.record_class, told.accepted, told.waiting, told.dropped) == ("e1", "alarm", 9, 2, 3)
    assert told.oldest_unix_ms == 1_000
    assert (of_old.epoch, of_old.record_class) == ("e0", "")


def test_a_gap_names_class_range_and_reason() -> None:
    body = records.gap(Gap(RecordClass.DETECTION, 3, 9, 7, "the outbox was full", "e7", lower_bound=True))
    gap = wire.Record.FromString(body).gap
    assert (gap.record_class, gap.first_seq, gap.last_seq, gap.dropped) == ("detection", 3, 9, 7)
    assert (gap.epoch, gap.lower_bound) == ("e7", True)


def test_alarms_are_kept_longer_than_detections_and_those_longer_than_counts() -> None:
    order = [each.word for each in sorted(RecordClass)]
    assert order == ["debug", "metric", "detection", "alarm", "gap"]


def test_a_frame_in_which_nothing_was_found_is_worth_least() -> None:
    assert records.frame(finished()).record_class is RecordClass.DETECTION
    assert records.frame(finished(boxes=(), happened=(CROSSED,))).record_class is RecordClass.DETECTION
    assert records.frame(finished(boxes=())).record_class is RecordClass.DEBUG


def test_a_body_that_cannot_be_read_leaves_a_gap_under_its_number() -> None:
    good = draft()
    rows = [Waiting(RecordClass.DETECTION, 7, b"\xff\xff"), Waiting(RecordClass.DETECTION, 8, good.body)]
    damaged, whole = wire.TelemetryBatch.FromString(records.batch("e1", rows)).records
    assert (damaged.seq, damaged.gap.record_class, damaged.gap.dropped) == (7, "detection", 0)
    assert "damaged" in damaged.gap.reason
    assert (whole.seq, whole.WhichOneof("body")) == (8, "frame")


def test_a_batch_says_when_it_was_sent_last() -> None:
    payload = records.batch("e1", [Waiting(RecordClass.DETECTION, 1, draft().body)])
    again = wire.TelemetryBatch.FromString(records.stamped(records.stamped(payload, 1_000), 5_000))
    assert (again.epoch, again.sent_unix_ms, len(again.records)) == ("e1", 5_000, 1)


def test_an_acknowledgement_is_read_as_ranges_without_numbers_that_cannot_be() -> None:
    given = [(1, 4), (9, 7), (5, 2**64 - 1), (2**63, 2**64 - 1)]
    ranges = [wire.SeqRange(first=first, last=last) for first, last in given]
    payload = wire.TelemetryAck(epoch="e1", stored=ranges).SerializeToString()
    assert records.ack(payload) == records.Ack("e1", ((1, 4), (5, 2**63 - 1)))


def test_an_acknowledgement_may_cover_all_from_the_first_number() -> None:
    stored = [wire.SeqRange(first=9, last=9)]
    payload = wire.TelemetryAck(epoch="e1", up_to=6, stored=stored).SerializeToString()
    assert records.ack(payload) == records.Ack("e1", ((1, 6), (9, 9)), up_to=6)


def test_garbage_on_the_ack_topic_is_refused() -> None:
    with pytest.raises(Rejected, match="no TelemetryAck"):
        records.ack(b"\xff\xff\xff")
