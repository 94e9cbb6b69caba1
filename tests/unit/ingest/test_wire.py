"""What a box sends is believed only after a look at every field."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.ingest import wire as ingest
from controlplane.ingest.domain import Kind, Receipt, ranges, receipts
from protos import telemetry_pb2 as wire
from protos.errors import Rejected
from protos.ids import NodeId
from tests.sim.telemetry import RELEASE

NODE = NodeId("quay-1")


def frame(**changes: object) -> wire.Record:
    body = wire.FrameResult(
        camera="quay", deployment="harbour", release_digest=RELEASE, captured_unix_ns=7, ts_source="clock",
        outcome="ok_local", latency_seconds=0.05, where="local", frame_seq=3,
        boxes=[wire.Box(x0=0.1, y0=0.2, x1=0.3, y1=0.4, score=0.9, label="boat")],
    )  # fmt: skip
    for name, value in changes.items():
        setattr(body, name, value)
    return wire.Record(seq=1, frame=body)


def outcomes(due: int = 3, **counts: int) -> wire.Record:
    body = wire.OutcomeCounts(camera="quay", deployment="harbour", frames_due=due, counts=counts)
    return wire.Record(seq=1, outcomes=body)


def payload(*records: wire.Record, epoch: str = "e1") -> bytes:
    return wire.TelemetryBatch(epoch=epoch, records=records).SerializeToString()


def test_a_frame_becomes_a_row_with_its_boxes() -> None:
    (row,) = ingest.batch(NODE, payload(frame())).rows
    assert (row.kind, row.seq) == (Kind.FRAME, 1)
    assert row.values["ran_on"] == "local"
    assert row.values["boxes"] == [{"x0": 0.1, "y0": 0.2, "x1": 0.3, "y1": 0.4, "score": 0.9, "label": "boat"}]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: frame(camera="no/slash"),
        lambda: frame(camera=""),
        lambda: frame(deployment="UPPER"),
        lambda: frame(release_digest="sha256:short"),
        lambda: frame(outcome="splendid"),
        lambda: frame(latency_seconds=math.nan),
        lambda: frame(where="../cloud"),
        lambda: frame(frame_seq=2**64 - 1),
        lambda: outcomes(due=4, ok_local=3),
        lambda: outcomes(due=3, made_up=3),
        lambda: wire.Record(seq=1),
        lambda: wire.Record(seq=0, node=wire.NodeStats()),
        lambda: wire.Record(seq=2**63, node=wire.NodeStats()),
        lambda: wire.Record(seq=1, node=wire.NodeStats(cpu_cores_used=math.inf)),
        lambda: wire.Record(seq=1, node=wire.NodeStats(memory_bytes=2**63)),
    ],
)
def test_a_record_that_breaks_a_rule_is_left_out_but_acknowledged(spoil: Callable[[], wire.Record]) -> None:
    good = wire.Record(seq=9, node=wire.NodeStats(at_unix_ms=1))
    batch = ingest.batch(NODE, payload(spoil(), good))
    assert [row.seq for row in batch.rows] == [9]
    assert len(batch.refused) == 1
    assert set(batch.seqs) >= {9}
    assert len(batch.seqs) == 2


@pytest.mark.parametrize("garbage", [b"\xff\xff", payload(epoch=""), payload(epoch="e" * 65), payload(epoch="a/b")])
def test_a_message_that_makes_no_sense_is_refused_whole(garbage: bytes) -> None:
    with pytest.raises(Rejected):
        ingest.batch(NODE, garbage)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_harm_than_a_refusal(garbage: bytes) -> None:
    for parse in (lambda: ingest.batch(NODE, garbage), lambda: ingest.presence(garbage)):
        try:
            parse()
        except Rejected:
            continue


def test_text_is_cut_and_holds_no_zero_byte() -> None:
    health = wire.CameraHealth(camera="quay", state="retrying", reason="a\0b" + "x" * 5000)
    (row,) = ingest.batch(NODE, payload(wire.Record(seq=1, camera=health))).rows
    assert row.values["reason"].startswith("abx")
    assert len(row.values["reason"]) == ingest.MAX_TEXT


def test_presence_is_read() -> None:
    said = ingest.presence(wire.Presence(online=True, boot_id="b1").SerializeToString())
    assert said == ingest.Presence(online=True, boot_id="b1")


@given(st.sets(st.integers(1, 200)))
def test_ranges_cover_exactly_the_numbers_in_as_few_as_can_be(numbers: set[int]) -> None:
    found = ranges(numbers)
    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(found[index][1] + 1 < found[index + 1][0] for index in range(len(found) - 1))


def test_batches_of_one_box_and_epoch_share_a_receipt() -> None:
    first, second = payload(wire.Record(seq=1), wire.Record(seq=2)), payload(wire.Record(seq=3), epoch="e2")
    given = [ingest.batch(NODE, each) for each in (first, first, second)]
    assert receipts(given) == [Receipt(NODE, "e1", ((1, 2),)), Receipt(NODE, "e2", ((3, 3),))]


def test_an_acknowledgement_says_what_is_stored() -> None:
    said = wire.TelemetryAck.FromString(ingest.acknowledgement(Receipt(NODE, "e1", ((1, 2), (5, 5)))))
    assert (said.epoch, [(each.first, each.last) for each in said.stored]) == ("e1", [(1, 2), (5, 5)])
