"""How fast what waited from a dark time goes out."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise

import pytest

from agent.telemetry.backfill import FIRST, LEAST, MOST, SLOW, SPREAD_SECONDS, SPREAD_SHARE, Backfill
from agent.telemetry.settings import Limits

BATCH = 100
DAY = 86_400.0


def backfill(limits: Limits | None = None, chance: float = 0.0) -> Backfill:
    return Backfill(limits or Limits(), lambda: chance)


def seconds_for(records: int, payload_bytes: int, made: Backfill) -> float:
    """Sent one after the other, as soon as it may be."""
    made.next_at = 0.0
    sent = 0
    while sent < records:
        made.went(BATCH, payload_bytes, made.next_at)
        sent += BATCH
    return made.next_at


def test_the_defaults_drain_a_day_of_50_records_a_second_in_a_tenth_of_it_even_on_the_most_patient_box() -> None:
    records = int(50 * DAY)
    assert seconds_for(records, 7_000, backfill(chance=0.999)) <= DAY / 10


def test_the_limits_hold_for_records_and_for_bytes_whichever_is_nearer() -> None:
    assert seconds_for(10_000, 1, backfill(Limits(100, 1e9))) == pytest.approx(100, rel=0.01)
    assert seconds_for(10_000, 50_000, backfill(Limits(1e9, 100_000))) == pytest.approx(50, rel=0.01)
    assert seconds_for(10_000, 50_000, backfill(Limits(0, 0))) == 0.0


def test_a_pause_is_not_made_up_for() -> None:
    made = backfill(Limits(100, 0))
    made.went(BATCH, 0, now=0.0)
    made.went(BATCH, 0, now=1_000.0)
    assert made.next_at == pytest.approx(1_001.0)


def test_boxes_begin_apart_and_keep_different_rates_within_their_share() -> None:
    rng = random.Random(1)
    fleet = [Backfill(Limits(100, 0), rng.random) for _ in range(100)]
    for box in fleet:
        box.begin(10.0)
    starts = sorted(box.next_at for box in fleet)
    assert starts[0] >= 10.0
    assert starts[-1] - starts[0] > SPREAD_SECONDS / 2
    assert starts[-1] <= 10.0 + SPREAD_SECONDS
    assert max(b - a for a, b in pairwise(starts)) < SPREAD_SECONDS / 10
    rates = [10_000 / seconds_for(10_000, 0, box) for box in fleet]
    assert 100 * (1 - SPREAD_SHARE) <= min(rates) < max(rates) <= 100.01
    jain = sum(rates) ** 2 / (len(rates) * sum(rate**2 for rate in rates))
    assert jain > 0.99


def test_quick_acknowledgements_let_more_into_the_air_up_to_a_bound() -> None:
    made = backfill()
    assert made.room(0, BATCH) == FIRST
    for turn in range(2_000):
        made.acknowledged(BATCH, 0.05, float(turn))
    assert made.room(0, BATCH) == MOST
    assert made.room(MOST - BATCH, BATCH) == BATCH
    assert made.room(MOST - BATCH + 1, BATCH) == 0


def test_slow_acknowledgements_let_ever_less_into_the_air_but_never_nothing() -> None:
    made = backfill()
    for turn in range(100):
        made.acknowledged(BATCH, 2 * SLOW, turn * 10.0)
    assert made.room(0, BATCH) == LEAST
    assert made.room(1, BATCH) == 0


def test_one_slow_moment_counts_once_however_many_batches_were_in_it() -> None:
    one, many = backfill(), backfill()
    one.acknowledged(BATCH, 2 * SLOW, 10.0)
    for late in range(5):
        many.acknowledged(BATCH, 2 * SLOW, 10.0 + late / 10)
    assert many.room(0, BATCH) == one.room(0, BATCH) < FIRST


def test_what_had_to_be_sent_again_makes_room_small_and_a_new_beginning_makes_it_as_at_first() -> None:
    made = backfill()
    made.unacknowledged()
    assert made.room(0, BATCH) == LEAST
    made.begin(0.0)
    assert made.room(0, BATCH) == FIRST


def test_a_hundred_boxes_at_one_control_plane_share_it_alike_and_keep_its_queue_short() -> None:
    """Each sends whenever it may; the control plane takes 10,000 records a second from one queue, in order."""
    rng = random.Random(3)
    boxes = [Backfill(Limits(0, 0), rng.random) for _ in range(100)]
    for box in boxes:
        box.begin(0.0)
    stored, in_air, queue = [0] * 100, [0] * 100, deque[tuple[int, int, float]]()
    lags, step = [], 0.01
    for tick in range(12_000):
        now = tick * step
        for number in rng.sample(range(100), 100):
            while boxes[number].next_at <= now and (records := min(BATCH, boxes[number].room(in_air[number], BATCH))):
                queue.append((number, records, now))
                in_air[number] += records
        taken = 10_000 * step
        while queue and taken > 0:
            number, records, sent = queue.popleft()
            taken -= records
            stored[number] += records
            in_air[number] -= records
            boxes[number].acknowledged(records, now - sent, now)
            lags.append(now - sent)
    late = sorted(lags[len(lags) // 2 :])
    assert sum(stored) > 0.95 * 10_000 * 115
    assert late[int(0.99 * len(late))] <= 3 * SLOW
    assert sum(stored) ** 2 / (100 * sum(each**2 for each in stored)) >= 0.98
