"""How fast what waited from a dark time goes out."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise

import pytest

from agent.telemetry.backfill import FIRST, LEAST, MOST, SLOW, SPREAD_SECONDS, SPREAD_SHARE, Backfill
from agent.telemetry.settings import Limits

BATCH = 300
DAY = 86_400.0


def backfill(limits: Limits | None = None, chance: float = 0.0) -> Backfill:
    return Backfill(limits or Limits(), lambda: chance)


def seconds_for(records: int, payload_bytes: int, made: Backfill) -> float:
    """Sent one after the other, as soon as it may be."""
    made.next_at = 0.0
    sent = 0
    while sent < records:
        made.went(100, payload_bytes, made.next_at)
        sent += 100
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
    made.went(100, 0, now=0.0)
    made.went(100, 0, now=1_000.0)
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


def air(made: Backfill, batch: int = BATCH) -> int:
    """Records that may be there at once."""
    in_air = 0
    while room := made.room(in_air, batch):
        in_air += room
    return in_air


def test_quick_acknowledgements_let_more_into_the_air_up_to_a_bound() -> None:
    made = backfill()
    assert air(made) == FIRST
    for turn in range(2_000):
        made.acknowledged(BATCH, 0.05, float(turn))
    assert air(made) == MOST


def test_only_whole_batches_join_those_in_the_air() -> None:
    made = backfill()
    assert made.room(FIRST - BATCH, BATCH) == BATCH
    assert made.room(FIRST - BATCH + 1, BATCH) == 0


def test_slow_acknowledgements_let_ever_less_into_the_air_but_never_nothing() -> None:
    made = backfill()
    for turn in range(100):
        made.acknowledged(LEAST, 2 * SLOW, turn * 10.0)
    assert air(made) == BATCH
    assert made.room(1, BATCH) == 0


def test_a_batch_larger_than_what_may_be_in_the_air_is_followed_by_a_pause_that_makes_up_for_it() -> None:
    made = backfill(Limits(0, 0))
    for turn in range(100):
        made.acknowledged(BATCH, 2 * SLOW, turn * 10.0)
    on_the_average = BATCH * 2 * SLOW / (2 * SLOW + made.next_at - 990.0)
    assert on_the_average == pytest.approx(LEAST)


def test_one_slow_moment_counts_once_however_many_batches_were_in_it() -> None:
    one, many = backfill(), backfill()
    one.acknowledged(LEAST, 2 * SLOW, 10.0)
    one.unacknowledged(9.0, 10.0)
    for late in range(5):
        many.acknowledged(LEAST, 2 * SLOW, 10.0 + late / 10)
        many.unacknowledged(9.0, 10.0 + late / 10)
    assert air(many, 1) == air(one, 1) < FIRST


def test_what_had_to_be_sent_again_makes_room_small_and_a_new_beginning_makes_it_as_at_first() -> None:
    made = backfill()
    for turn in range(10):
        made.unacknowledged(turn - 1.0, float(turn))
    assert air(made) == BATCH
    made.begin(0.0)
    assert air(made) == FIRST


class InOrder:
    """A control plane that takes messages as they come, as those before 0.2."""

    def __init__(self) -> None:
        self._messages = deque[tuple[int, float]]()

    def put(self, box: int, sent: float) -> None:
        self._messages.append((box, sent))

    def take(self) -> tuple[int, float] | None:
        return self._messages.popleft() if self._messages else None


class InTurns:
    """One that takes them box by box."""

    def __init__(self) -> None:
        self._boxes: dict[int, deque[float]] = {}

    def put(self, box: int, sent: float) -> None:
        self._boxes.setdefault(box, deque()).append(sent)

    def take(self) -> tuple[int, float] | None:
        if not self._boxes:
            return None
        box = next(iter(self._boxes))
        waiting = self._boxes.pop(box)
        sent = waiting.popleft()
        if waiting:
            self._boxes[box] = waiting
        return box, sent


@pytest.mark.parametrize("rate", [10_000, 8_000])
@pytest.mark.parametrize("queue", [InOrder, InTurns])
def test_a_hundred_boxes_at_one_control_plane_share_it_alike_and_keep_its_queue_short(
    queue: type[InOrder] | type[InTurns], rate: int
) -> None:
    """Each sends whenever it may; the control plane takes `rate` records a second from one queue."""
    rng, plane = random.Random(3), queue()
    boxes = [Backfill(Limits(0, 0), rng.random) for _ in range(100)]
    for box in boxes:
        box.begin(0.0)
    stored, in_air, lags = [0] * 100, [0] * 100, []
    step, able = 0.05, 0.0
    for tick in range(2_400):
        now = tick * step
        for number in rng.sample(range(100), 100):
            while boxes[number].next_at <= now and boxes[number].room(in_air[number], BATCH):
                plane.put(number, now)
                in_air[number] += BATCH
        able = min(able, BATCH) + rate * step
        while able > 0 and (taken := plane.take()):
            number, sent = taken
            able -= BATCH
            stored[number] += BATCH
            in_air[number] -= BATCH
            boxes[number].acknowledged(BATCH, now - sent, now)
            lags.append(now - sent)
    late = sorted(lags[len(lags) // 2 :])
    assert sum(stored) > 0.95 * rate * 115
    assert late[int(0.99 * len(late))] <= 2 * SLOW + 1
    assert sum(stored) ** 2 / (100 * sum(each**2 for each in stored)) >= 0.98
