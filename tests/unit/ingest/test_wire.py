"""What a box sends is believed only after a look at every field."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.ingest import wire as ingest
from controlplane.ingest.domain import UNDER_WAY_MS, Arrival, Batch, Kind, Receipt
from protos import telemetry_pb2 as wire
from protos.errors import Rejected
from protos.ids import NodeId
from tests.sim.telemetry import RELEASE

NODE = NodeId("quay-1")
NOW = 1_795_000_000_000
WEEK = 7 * 86_400_000


def read(payload: bytes) -> Batch:
    return ingest.batch(NODE, payload, NOW)


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


def spent(**stages: float) -> wire.Record:
    record = outcomes(due=3, ok_local=3)
    record.outcomes.stages.update(stages)
    return record


def decided(why: str = "", **told: float) -> wire.Record:
    record = outcomes(due=3, ok_local=3)
    record.outcomes.decided.update(told)
    record.outcomes.rung_why = why
    return record


def answered(box: list[int], cloud: list[int] = [], seconds: float = 0.1) -> wire.Record:  # noqa: B006 - never changed
    """Three frames due; these were answered."""
    record = outcomes(due=3, ok_local=3)
    record.outcomes.box.CopyFrom(wire.Latencies(frames=box, seconds=seconds))
    record.outcomes.cloud.CopyFrom(wire.Latencies(frames=cloud))
    return record


def payload(*records: wire.Record, epoch: str = "e1") -> bytes:
    return wire.TelemetryBatch(epoch=epoch, records=records).SerializeToString()


def test_a_frame_becomes_a_row_with_its_boxes() -> None:
    (row,) = read(payload(frame())).rows
    assert (row.kind, row.seq) == (Kind.FRAME, 1)
    assert row.values["ran_on"] == "local"
    assert row.values["boxes"] == [{"x0": 0.1, "y0": 0.2, "x1": 0.3, "y1": 0.4, "score": 0.9, "label": "boat"}]


def test_numbers_and_what_happened_are_kept() -> None:
    record = frame()
    record.frame.boxes[0].track = 12
    record.frame.happened.extend(
        [
            wire.Happening(what="crossed", place="gate", direction="left-to-right", label="boat", track=12),
            wire.Happening(what="left", place="berth", seconds=4.25, label="boat", track=3),
        ]
    )
    (row,) = read(payload(record)).rows
    assert row.values["boxes"][0]["track"] == 12
    nothing = dict.fromkeys(("line", "direction", "zone", "seconds"))
    assert row.values["happened"] == [
        {**nothing, "what": "crossed", "line": "gate", "direction": "left-to-right", "label": "boat", "track": 12},
        {**nothing, "what": "left", "zone": "berth", "seconds": 4.25, "label": "boat", "track": 3},
    ]


@pytest.mark.parametrize(
    "happening",
    [
        wire.Happening(what="crossed", place="By the gate", direction="left-to-right", label="boat"),
        wire.Happening(what="left", place="gate", seconds=math.inf, label="boat"),
        wire.Happening(what="left", place="gate", label="boat", track=2**64 - 1),
    ],
)
def test_what_cannot_have_happened_leaves_a_gap(happening: wire.Happening) -> None:
    record = frame()
    record.frame.happened.append(happening)
    (row,) = read(payload(record)).rows
    assert row.kind is Kind.GAP


def test_stages_are_kept_as_they_were_told_but_for_those_nobody_here_knows() -> None:
    (row,) = read(payload(spent(infer=0.25, wait=0.5, dream=1.0))).rows
    assert row.values["stages"] == {"wait": 0.5, "infer": 0.25}


def test_what_was_decided_is_kept_as_it_was_told_but_for_what_nobody_here_knows() -> None:
    (row,) = read(payload(decided("It runs on cpu.", small=2.0, load=1.5, dream=1.0))).rows
    assert (row.values["decided"], row.values["rung_why"]) == ({"small": 2.0, "load": 1.5}, "It runs on cpu.")
    (older,) = read(payload(outcomes(due=3, ok_local=3))).rows
    assert (older.values["decided"], older.values["rung_why"]) == ({}, "")


def test_latencies_are_kept_as_they_were_counted() -> None:
    (row,) = read(payload(answered(box=[0, 2], cloud=[1]))).rows
    assert row.values["box"] == {"frames": [0, 2], "seconds": 0.1}
    assert row.values["cloud"] == {"frames": [1], "seconds": 0.0}


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
        lambda: answered(box=[0, 2], cloud=[2]),
        lambda: answered(box=[0] * 37),
        lambda: answered(box=[1], seconds=math.inf),
        lambda: answered(box=[1], seconds=-1.0),
        lambda: outcomes(due=3, made_up=3),
        lambda: spent(infer=-0.1),
        lambda: decided(load=-0.1),
        lambda: decided(link=math.inf),
        lambda: spent(infer=math.nan),
        lambda: wire.Record(seq=1),
        lambda: wire.Record(seq=0, node=wire.NodeStats()),
        lambda: wire.Record(seq=2**63, node=wire.NodeStats()),
        lambda: wire.Record(seq=1, node=wire.NodeStats(cpu_cores_used=math.inf)),
        lambda: wire.Record(seq=1, node=wire.NodeStats(memory_bytes=2**63)),
    ],
)
def test_a_record_that_breaks_a_rule_leaves_a_gap_and_is_acknowledged(spoil: Callable[[], wire.Record]) -> None:
    good = wire.Record(seq=9, node=wire.NodeStats(at_unix_ms=1))
    batch = read(payload(spoil(), good))
    assert [row.seq for row in batch.rows if row.kind is Kind.NODE] == [9]
    holes = [row for row in batch.rows if row.kind is Kind.GAP]
    assert [row.seq for row in holes] == ([1] if spoil().seq == 1 else []), "what has no number can't be named"
    assert len(batch.refused) == 1
    assert batch.records == 2
    assert list(batch.unnumbered) == ([] if spoil().seq == 1 else [spoil().seq])


@pytest.mark.parametrize("garbage", [b"\xff\xff", payload(epoch=""), payload(epoch="e" * 65), payload(epoch="a/b")])
def test_a_message_that_makes_no_sense_is_refused_whole(garbage: bytes) -> None:
    with pytest.raises(Rejected):
        read(garbage)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_harm_than_a_refusal(garbage: bytes) -> None:
    for parse in (lambda: read(garbage), lambda: ingest.presence(garbage)):
        try:
            parse()
        except Rejected:
            continue


def test_text_is_cut_and_holds_no_zero_byte() -> None:
    health = wire.CameraHealth(camera="quay", state="retrying", reason="a\0b" + "x" * 5000)
    (row,) = read(payload(wire.Record(seq=1, camera=health))).rows
    assert row.values["reason"].startswith("abx")
    assert len(row.values["reason"]) == ingest.MAX_TEXT


def test_presence_is_read() -> None:
    said = ingest.presence(wire.Presence(online=True, boot_id="b1").SerializeToString())
    assert said == ingest.Presence(online=True, boot_id="b1")


@given(wrong=st.integers(-WEEK, WEEK), age=st.integers(0, WEEK), under_way=st.integers(0, UNDER_WAY_MS - 1))
def test_a_moment_is_right_but_for_the_time_on_the_way_however_wrong_the_clock_of_a_box_is(
    wrong: int, age: int, under_way: int
) -> None:
    happened = NOW - under_way - age
    arrival = Arrival(received_ms=NOW, sent_ms=NOW - under_way + wrong)
    assert abs(arrival.at_ms(happened + wrong) - happened) < 2 * UNDER_WAY_MS
    assert arrival.at_ms(happened + wrong) <= NOW


def test_a_difference_that_the_way_explains_corrects_nothing_and_neither_does_an_agent_that_tells_no_time() -> None:
    assert Arrival(NOW, NOW - 1_999).at_ms(NOW - 5_000) == NOW - 5_000
    assert Arrival(NOW).at_ms(NOW - WEEK) == NOW - WEEK


@given(sent=st.integers(-(2**63), 2**63 - 1), told=st.integers(-(2**63), 2**63 - 1))
def test_no_clock_is_so_wild_that_a_moment_does_not_fit(sent: int, told: int) -> None:
    assert 0 <= Arrival(NOW, sent).at_ms(told) <= NOW


def test_an_acknowledgement_says_what_is_stored() -> None:
    said = wire.TelemetryAck.FromString(ingest.acknowledgement(Receipt(NODE, "e1", 2, ((5, 5),))))
    assert (said.epoch, said.up_to, [(each.first, each.last) for each in said.stored]) == ("e1", 2, [(5, 5)])
