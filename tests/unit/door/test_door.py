"""The door of an engine that is asked for more than it can do, in virtual time."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.door.asked import Asked, Begin, Turned
from agent.door.door import Door
from agent.door.line import MOST
from agent.door.shares import Partition
from agent.offload.cost import CostLine
from agent.trial.tally import percentile
from tests.sim.asked_engine import AskedEngine, Ending

CALL = 0.02  # seconds
CAPACITY = 2 / CALL  # calls a second
DEADLINE = 0.25  # seconds from arrival
LIVE, HARD, BATCH = Partition


def poisson(
    rate: float,
    seconds: float,
    rng: random.Random,
    partition: Partition = LIVE,
    site: str = "",
    within: float = DEADLINE,
) -> Iterator[Asked]:
    """`within`: seconds from arrival to the deadline."""
    now = rng.expovariate(rate)
    while now < seconds:
        yield Asked(0, partition, site, now, now + within)
        now += rng.expovariate(rate)


def merged(*streams: Iterator[Asked]) -> list[Asked]:
    return sorted(itertools.chain(*streams), key=lambda each: each.arrived)


def engine(seed: int = 1, spread: float = 0.1) -> AskedEngine:
    rng = random.Random(seed)
    return AskedEngine(lambda: CALL * rng.uniform(1 - spread, 1 + spread))


def asked(number: int, at: float = 0.0, deadline: float = math.inf, priority: int = 100, **terms: object) -> Asked:
    return Asked(number, LIVE, "", at, deadline, priority, **terms)  # type: ignore[arg-type]  # rows


def door(room: int = 1, width: int = 1, seconds: float = 0.01) -> Door:
    """Its cost is well known."""
    cost = CostLine([(1, seconds)])
    for call in range(200):
        cost.observe(1, seconds, 0.01 * call - 2.0)
    made = Door(cost, width, room)
    made.sites.asked("", -1e-9)
    return made


def good(endings: list[Ending]) -> list[Ending]:
    return [each for each in endings if each.turned is None and not each.late]


# ---- overload ----


@pytest.mark.parametrize("seed", range(3))
def test_at_twice_saturation_the_engine_answers_in_time_what_it_can_and_no_one_late(seed: int) -> None:
    endings = engine(seed).run(poisson(2 * CAPACITY, 20.0, random.Random(seed)))
    answered = [each for each in endings if each.turned is None]
    assert len(good(endings)) >= 0.97 * CAPACITY * 20.0
    assert percentile([each.at - each.asked.arrived for each in answered], 0.99) <= DEADLINE
    assert sum(each.late for each in answered) <= 0.005 * len(answered)


def test_who_is_turned_away_hears_it_when_he_comes() -> None:
    endings = engine().run(poisson(2 * CAPACITY, 10.0, random.Random(5)))
    turned = [each for each in endings if each.turned]
    assert len(turned) > 500
    assert sum(each.at > each.asked.arrived for each in turned) <= 0.01 * len(turned)
    assert all(each.turned and each.turned.wait >= 0.0 for each in turned)


def test_below_saturation_nobody_is_turned_away() -> None:
    endings = engine().run(poisson(0.6 * CAPACITY, 20.0, random.Random(2)))
    assert not [each for each in endings if each.turned or each.late]


def test_a_server_that_becomes_three_times_slower_keeps_its_word_again_within_a_second() -> None:
    slow = AskedEngine(lambda: CALL * (1 if slow.now < 5.0 else 3))
    endings = slow.run(poisson(1.5 * CAPACITY, 12.0, random.Random(3)))
    after = [each for each in endings if each.turned is None and each.asked.arrived > 6.0]
    assert sum(each.late for each in after) <= 0.01 * len(after)
    assert len(after) >= 0.9 * CAPACITY / 3 * 6.0


def test_nobody_begins_who_can_no_longer_be_in_time() -> None:
    endings = engine(spread=0.5).run(poisson(3 * CAPACITY, 10.0, random.Random(4), within=0.06))
    begun = [each for each in endings if each.began is not None]
    assert begun
    assert all(each.began is not None and each.began + 0.5 * CALL <= each.asked.deadline for each in begun)


# ---- order ----


def test_the_earliest_deadline_begins_first_whoever_came_before() -> None:
    held = door()
    pace = held.step_in(LIVE, "", math.inf, 0.0)
    assert pace is not None
    assert held.arrive(asked(1, deadline=0.9), 0.0) == []
    assert held.arrive(asked(2, deadline=0.3), 0.0) == []
    assert held.step_out(pace, 0.01) == [Begin(2)]


def test_only_earlier_deadlines_count_ahead_of_a_request() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    for number in range(20):
        assert held.arrive(asked(number, deadline=10.0), 0.0) == []
    assert held.arrive(asked(99, deadline=0.06), 0.0) == []


def test_a_request_that_would_make_another_late_is_turned_away_and_the_promise_kept() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    assert held.arrive(asked(1, deadline=0.032), 0.0) == []
    [turned] = held.arrive(asked(2, deadline=0.0315), 0.0)
    assert isinstance(turned, Turned)
    assert turned.number == 2


def test_a_more_urgent_priority_takes_the_place_of_a_lesser_one_that_it_makes_late() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    assert held.arrive(asked(1, deadline=0.032), 0.0) == []
    [turned] = held.arrive(asked(2, deadline=0.032, priority=1), 0.0)
    assert isinstance(turned, Turned)
    assert turned.number == 1


def test_a_deadline_that_even_the_free_engine_cannot_meet_is_turned_away_at_once() -> None:
    held = door()
    held.cost.last_at = 0.0
    [turned] = held.arrive(asked(1, deadline=0.005), 0.1)
    assert isinstance(turned, Turned)


def test_an_idle_engine_that_nobody_asked_for_a_second_is_tried_again() -> None:
    held = door()
    held.cost.last_at = 0.0
    assert held.arrive(asked(1, deadline=1.205), 1.2) == [Begin(1)]


def test_a_request_of_many_examples_counts_for_as_many() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    assert held.would_turn_away(asked(1, deadline=0.1, rows=1), 0.0) is None
    assert held.would_turn_away(asked(1, deadline=0.1, rows=32), 0.0) is not None


def test_what_would_be_said_at_the_head_changes_nothing() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    assert held.would_turn_away(asked(1, deadline=0.005), 0.0) is not None
    assert held.would_turn_away(asked(2, deadline=0.5), 0.0) is None
    assert len(held) == 0


def test_who_leaves_the_line_makes_room_for_the_next() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    assert held.arrive(asked(1, deadline=0.033), 0.0) == []
    assert held.would_turn_away(asked(2, deadline=0.033), 0.0) is not None
    held.leave(1)
    assert held.arrive(asked(2, deadline=0.033), 0.0) == []


# ---- partitions ----


def shares_of(endings: list[Ending]) -> dict[Partition, float]:
    counts = Counter(each.asked.partition for each in good(endings))
    return {each: counts[each] / counts.total() for each in Partition}


def test_partitions_that_all_ask_for_more_get_eighty_fifteen_and_five() -> None:
    streams = [poisson(CAPACITY, 30.0, random.Random(n), each, within=1.5) for n, each in enumerate(Partition)]
    found = shares_of(engine().run(merged(*streams)))
    assert found[LIVE] == pytest.approx(0.80, abs=0.03)
    assert found[HARD] == pytest.approx(0.15, abs=0.03)
    assert found[BATCH] == pytest.approx(0.05, abs=0.03)


def test_what_a_partition_does_not_use_is_lent() -> None:
    endings = engine().run(poisson(2 * CAPACITY, 20.0, random.Random(1), BATCH))
    assert len(good(endings)) >= 0.97 * CAPACITY * 20.0


def test_hard_examples_beyond_their_share_make_no_live_frame_late() -> None:
    rng = random.Random(7)
    live = poisson(0.6 * CAPACITY, 20.0, rng)
    flood = poisson(2 * CAPACITY, 20.0, random.Random(8), HARD, within=2.0)
    endings = engine().run(merged(live, flood))
    ours = [each for each in endings if each.asked.partition is LIVE]
    assert len(good(ours)) >= 0.99 * len(ours)


# ---- sites ----


def test_a_site_that_asks_for_little_gets_it_beside_one_that_asks_for_ten_times_what_there_is() -> None:
    little = poisson(0.3 * CAPACITY, 20.0, random.Random(1), site="little")
    much = poisson(10 * CAPACITY, 20.0, random.Random(2), site="much")
    endings = engine().run(merged(little, much))
    ours = [each for each in endings if each.asked.site == "little"]
    assert len(good(ours)) >= 0.95 * len(ours)
    assert len(good(endings)) >= 0.95 * CAPACITY * 20.0


def test_sites_that_ask_for_more_than_there_is_get_the_same_whatever_they_ask() -> None:
    streams = [poisson(rate * CAPACITY, 20.0, random.Random(n), site=str(n)) for n, rate in enumerate((1, 2, 4, 8))]
    got = Counter(each.asked.site for each in good(engine().run(merged(*streams))))
    jain = sum(got.values()) ** 2 / (len(got) * sum(many**2 for many in got.values()))
    assert len(got) == 4
    assert jain >= 0.98


def test_without_deadlines_a_site_that_fills_the_line_leaves_room_for_another() -> None:
    held = door()
    held.step_in(LIVE, "", math.inf, 0.0)
    for number in range(MOST):
        assert held.arrive(Asked(number, BATCH, "many", 0.0), 0.0) == []
    [turned] = held.arrive(Asked(100, BATCH, "few", 0.0), 0.0)
    assert isinstance(turned, Turned)
    assert turned.number == MOST - 1
    [turned] = held.arrive(Asked(101, BATCH, "many", 0.0), 0.0)
    assert turned.number == 101


# ---- without deadlines ----


def test_without_deadlines_it_is_first_come_first_served_until_the_line_stands() -> None:
    held = door()
    pace = held.step_in(BATCH, "", math.inf, 0.0)
    assert pace is not None
    for number in range(3):
        assert held.arrive(Asked(number, BATCH, "", 0.0), 0.0) == []
    assert held.step_out(pace, 0.01) == [Begin(0)]


def test_a_line_that_stands_takes_the_newest_first_and_turns_the_oldest_away() -> None:
    held = door(seconds=0.4)
    pace = held.step_in(BATCH, "", math.inf, 0.0)
    assert pace is not None
    said: list[object] = []
    for number in range(200):
        now = 0.25 * number
        said += held.arrive(Asked(number, BATCH, "", now), now)
        if number % 2:
            said += held.step_out(pace, now + 0.01)
    assert any(isinstance(each, Turned) for each in said)
    begun = [each.number for each in said if isinstance(each, Begin)]
    assert begun[:5] == [0, 1, 2, 3, 4]
    assert begun[-1] >= 198


# ---- whatever is asked ----


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 0.03),  # seconds since the one before
            st.sampled_from(list(Partition)),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from([math.inf, 0.03, 0.1, 0.5]),
            st.sampled_from([1, 100, 200]),
        ),
        max_size=120,
    ),
    st.integers(1, 3),
)
def test_each_request_ends_once_and_none_waits_while_there_is_room(
    plan: list[tuple[float, Partition, str, float, int]], width: int
) -> None:
    held = AskedEngine(lambda: CALL, width=width, room=width + 1)
    requests, now = [], 0.0
    for since, partition, site, within, priority in plan:
        now += since
        requests.append(Asked(0, partition, site, now, now + within, priority))
    endings = held.run(requests)
    assert len(endings) == len(requests)
    assert all((each.turned is None) == (each.began is not None) for each in endings)
    assert (held.door.inside, len(held.door)) == (0, 0)
