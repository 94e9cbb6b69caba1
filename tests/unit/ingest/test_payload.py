"""A payload says by its first byte what it is: the same records, whatever form they come in, and no bombs."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from controlplane.ingest import wire as ingest
from controlplane.ingest.domain import Batch
from controlplane.ingest.payload import MOST_BYTES
from protos import telemetry_pb2 as wire
from protos.errors import Rejected
from protos.ids import NodeId
from tests.sim.telemetry import RELEASE

NOW = 1_795_000_000_000
FORMS: dict[str, Callable[[wire.TelemetryBatch], bytes]] = {
    "protobuf": wire.TelemetryBatch.SerializeToString,
    "JSON": lambda message: json_format.MessageToJson(message).encode(),
    "JSON with the names of the proto": lambda message: json_format.MessageToJson(
        message, preserving_proto_field_name=True, indent=None
    ).encode(),
}
FORMS |= {f"{name}, packed": lambda message, form=form: zlib.compress(form(message)) for name, form in FORMS.items()}  # type: ignore[misc]


def read(payload: bytes) -> Batch:
    return ingest.batch(NodeId("quay-1"), payload, NOW)


def message(**changes: object) -> wire.TelemetryBatch:
    frame = wire.FrameResult(
        camera="quay", deployment="harbour", release_digest=RELEASE, captured_unix_ns=7, ts_source="clock",
        outcome="ok_local", latency_seconds=0.1, where="local", frame_seq=3,
        boxes=[wire.Box(x0=0.1, y0=0.2, x1=0.3, y1=0.4, score=0.9, label='a "quoted" größe', zones=["gate"], track=2)],
    )  # fmt: skip
    counts = wire.OutcomeCounts(
        camera="quay", deployment="harbour", frames_due=5, counts={"ok_local": 3, "shed": 2}, stages={"infer": 0.5}
    )
    gap = wire.Gap(record_class="debug", first_seq=1, last_seq=2**63 - 1, dropped=2**63 - 1, epoch="e7", reason="full")
    records = [
        wire.Record(seq=1, frame=frame),
        wire.Record(seq=2, outcomes=counts),
        wire.Record(seq=3, node=wire.NodeStats(at_unix_ms=5, cpu_cores_used=0.25, memory_bytes=2**62)),
        wire.Record(seq=4, gap=gap),
    ]
    tallies = [wire.Tally(epoch="e1", record_class="metric", accepted=4, waiting=4, oldest_unix_ms=NOW)]
    made = wire.TelemetryBatch(epoch="e1", records=records, start="s2", before="s1", tallies=tallies)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_the_same_in_every_form_down_to_the_digests_of_its_records(form: str) -> None:
    assert read(FORMS[form](message())) == read(message().SerializeToString())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_whether_it_is_historical(form: str) -> None:
    assert [ingest.historical(FORMS[form](message(historical=told))) for told in (True, False)] == [True, False]


def test_a_label_that_reads_like_the_word_makes_nothing_historical() -> None:
    made = message()
    made.records[0].frame.boxes[0].label = '"historical": true'
    made.records[1].outcomes.counts["historical"] = 1
    assert not ingest.historical(FORMS["JSON"](made))


BOMB = zlib.compress(bytes(64 << 20))  # 64 KiB
JSON_BOMB = zlib.compress(b'{"epoch": "' + b"e" * (64 << 20))


@pytest.mark.parametrize(
    "garbage",
    [
        BOMB,
        JSON_BOMB,
        zlib.compress(zlib.compress(message().SerializeToString())),
        zlib.compress(message().SerializeToString())[:-5],
        b"\x78 no stream",
        b"{",
        b"{}",
        b'{"epoch": 7}',
        b'{"epoch": "e1", "records": [{"seq": "many"}]}',
        b'{"epoch": "e1", "records": [{"seq": ' + b"9" * 5_000 + b"}]}",
        b'{"epoch": "e1", "records": ' + b"[" * 100_000,
        b'{"epoch": "e1", "records": [{"camera": {"reason": "\\ud800"}}]}',
        b'{"epoch": "\xff"}',
    ],
    ids=range(13),
)
def test_what_is_no_batch_in_any_form_is_refused_whole_and_is_not_historical(garbage: bytes) -> None:
    with pytest.raises(Rejected):
        read(garbage)
    assert not ingest.historical(garbage)


def test_what_unpacks_to_as_much_as_may_be_is_taken() -> None:
    made = message()
    made.records[0].frame.boxes[0].label = "x" * (MOST_BYTES - 2_000)
    assert len(read(zlib.compress(made.SerializeToString())).rows) == 4


def test_what_unpacks_to_more_is_refused_however_well_it_is_formed() -> None:
    made = message()
    made.records[0].frame.boxes[0].label = "x" * MOST_BYTES
    with pytest.raises(Rejected, match="bytes unpacked"):
        read(zlib.compress(made.SerializeToString()))


@given(st.binary(max_size=200))
def test_no_packed_or_written_bytes_do_more_harm_than_a_refusal(garbage: bytes) -> None:
    for each in (zlib.compress(garbage), b"{" + garbage, zlib.compress(b"{" + garbage), b"\x78" + garbage):
        ingest.historical(each)
        try:
            read(each)
        except Rejected:
            continue
