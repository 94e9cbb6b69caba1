"""Payloads: protobuf or JSON, compressed when it pays; the first byte says which."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.telemetry import payload, records
from agent.telemetry.books import Tally
from agent.telemetry.classes import RecordClass
from agent.telemetry.payload import GAIN, SMALLEST, Sending
from agent.telemetry.records import Waiting
from agent.telemetry.settings import Form
from agent.types import Box, Finished
from protos import telemetry_pb2 as wire
from tests.sim.payloads import read
from tests.sim.telemetry import CROSSED, draft, finished

TALLY = Tally("e1", RecordClass.METRIC, 7, 2, 1, 1_795_000_000_000)
NOW = Sending(1_795_000_000_123, historical=True, start="s2", before="s1", tallies=(TALLY,))


def batch(count: int) -> bytes:
    """As a box sends it: every kind of record, boxes at random places."""
    rng = random.Random(count)
    rows = []
    for number in range(1, count + 1):
        box = Box(rng.random(), rng.random(), rng.random(), rng.random(), rng.random(), "boat", ("berth",), number)
        frame = records.frame(seen(number, box, rng))
        each = frame if number % 5 else draft(rng.choice([RecordClass.METRIC, RecordClass.ALARM]), number)
        rows.append(Waiting(each.record_class, number, each.body))
    return records.batch("e1", rows)


def seen(number: int, box: Box, rng: random.Random) -> Finished:
    return finished(number, latency=rng.random(), boxes=(box,), happened=(CROSSED,) if number % 7 == 0 else ())


def test_what_is_told_anew_stands_behind_the_records_and_leaves_them_alone() -> None:
    told = wire.TelemetryBatch.FromString(payload.told(batch(3), NOW))
    assert [record.seq for record in told.records] == [1, 2, 3]
    assert (told.epoch, told.sent_unix_ms, told.historical) == ("e1", NOW.unix_ms, True)
    assert (told.start, told.before) == ("s2", "s1")
    (tally,) = told.tallies
    assert (tally.epoch, tally.record_class, tally.accepted, tally.waiting, tally.dropped) == ("e1", "metric", 7, 2, 1)
    assert tally.oldest_unix_ms == TALLY.oldest_unix_ms


@pytest.mark.parametrize("form", Form)
@given(count=st.integers(0, 30))
def test_both_forms_say_exactly_the_same(form: Form, count: int) -> None:
    """To the bit: the digest of a record must not depend on the form in which it came."""
    told = payload.told(batch(count), NOW)
    found = read(payload.encoded(told, form))
    assert found.SerializeToString(deterministic=True) == wire.TelemetryBatch.FromString(told).SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(("form", "first"), [(Form.PROTOBUF, b"\x0a"), (Form.JSON, b"{")])
def test_the_first_byte_says_what_it_is(form: Form, first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert payload.encoded(batch(100), form)[:1] == b"\x78"
    monkeypatch.setattr(payload, "SMALLEST", 1 << 30)
    assert payload.encoded(batch(100), form)[:1] == first


def test_json_is_in_protobufs_own_mapping() -> None:
    content = payload.encoded(payload.told(records.batch("e1", ()), Sending(5)), Form.JSON)
    assert content == b'{"epoch":"e1","sentUnixMs":"5"}'


def test_a_full_batch_takes_less_than_half_of_the_line() -> None:
    whole = batch(100)
    assert len(payload.compressed(whole)) < len(whole) / 2


def test_what_is_small_or_gains_little_goes_as_it_is() -> None:
    small, noise = b"\x0a" * (SMALLEST - 1), random.Random(1).randbytes(4_000)
    assert payload.compressed(small) is small
    assert payload.compressed(noise) is noise
    assert payload.compressed(b"\x0a" * SMALLEST)[:1] == b"\x78"


@given(st.binary(min_size=SMALLEST, max_size=2_000))
def test_compression_gains_its_share_or_is_left_out(content: bytes) -> None:
    found = payload.compressed(content)
    assert found == content or len(found) <= (1 - GAIN) * len(content)
