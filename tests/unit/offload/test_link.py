"""What the box believes of its way to the cloud, against ways that behave: steady, fading, cut off, slow to answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from statistics import fmean

import pytest

from agent.offload import policy
from agent.offload.link import FIRST_BYTES_PER_SECOND, PROBE_SECONDS, SILENCE, Link

NOW = 1000.0
PICTURE = 28_000
MEGABIT = 125_000.0
Carries = Callable[[float], float]  # now -> bytes a second


class Way:
    """One picture at a time is carried; then a round trip and the cloud's inference pass."""

    def __init__(self, carries: Carries, rtt: float = 0.03, service: float = 0.02, seed: int = 1) -> None:
        self.carries, self.rtt, self.service = carries, rtt, service
        self.rng, self.free_at = random.Random(seed), 0.0

    def send(self, nbytes: int, now: float) -> tuple[float, float]:
        """When it is answered, and the seconds of inference in that."""
        at = max(now, self.free_at)
        left = float(nbytes)
        while left > 0:
            left -= self.carries(at) * 0.001
            at += 0.001
        self.free_at = at
        service = self.service * self.rng.uniform(0.9, 1.2)
        return at + self.rtt + self.rng.expovariate(100) + service, service


def on_time(link: Link, nbytes: int, slack: float, now: float) -> float:
    """P(in time), as the lane has it."""
    return policy.chance(slack, link.need(nbytes, now))


def lived(link: Link, way: Way, since: float, seconds: float, *, every: float = 0.15) -> list[tuple[float, float]]:
    """(needed as foretold, taken) of pictures sent steadily, no more than two under way."""
    numbers, pairs = count(int(since * 1000)), []
    under_way: list[tuple[float, int, float]] = []  # answered at, number, service
    now = since
    while now < since + seconds:
        for answer in sorted(under_way):
            if answer[0] <= now:
                link.answered(answer[1], answer[0], answer[2])
                under_way.remove(answer)
        if len(under_way) < 2:
            number, need = next(numbers), link.need(PICTURE, now)
            at, service = way.send(PICTURE, now)
            link.sent(number, PICTURE, now)
            under_way.append((at, number, service))
            pairs.append((need, at - now))
        now += every
    for at, number, service in sorted(under_way):
        link.answered(number, at, service)
    return pairs


@pytest.mark.parametrize("megabits", [0.5, 2.0, 8.0, 50.0])
def test_on_a_steady_way_nine_answers_in_ten_come_within_what_was_foretold(megabits: float) -> None:
    pairs = lived(Link(), Way(lambda _: megabits * MEGABIT), NOW, 120)[30:]
    assert fmean(took <= need for need, took in pairs) >= 0.85
    assert fmean(need for need, _ in pairs) <= 1.5 * fmean(took for _, took in pairs), "and no more than is needed"


def test_a_way_that_became_slow_is_known_as_slow_after_three_pictures() -> None:
    link = Link()
    lived(link, Way(lambda _: 8 * MEGABIT), NOW, 30)
    lived(link, Way(lambda _: 0.5 * MEGABIT), NOW + 30, 1.4)
    assert on_time(link, PICTURE, 0.25, NOW + 33) < 0.1


def test_a_way_that_became_fast_is_used_again_after_few_pictures() -> None:
    link = Link()
    lived(link, Way(lambda _: 0.5 * MEGABIT), NOW, 30)
    lived(link, Way(lambda _: 8 * MEGABIT), NOW + 30, 1.0)
    assert on_time(link, PICTURE, 0.25, NOW + 32) > 0.8


def test_a_silence_with_something_under_way_wears_the_way_down_and_one_without_does_not() -> None:
    link = Link()
    lived(link, Way(lambda _: 8 * MEGABIT), NOW, 30)
    before = on_time(link, PICTURE, 0.25, NOW + 31)
    assert on_time(link, PICTURE, 0.25, NOW + 90) == before > 0.9
    link.sent(1, PICTURE, NOW + 90)
    fast = link.bytes_per_second(NOW + 90 + SILENCE)
    assert link.bytes_per_second(NOW + 90 + SILENCE + 0.5) == pytest.approx(fast / 2.718, rel=0.01)
    assert on_time(link, PICTURE, 0.25, NOW + 92) < 0.1


def test_what_is_called_off_in_a_silence_does_not_bring_the_way_back() -> None:
    link = Link()
    lived(link, Way(lambda _: 8 * MEGABIT), NOW, 30)
    link.sent(1, PICTURE, NOW + 31)
    slow = link.bytes_per_second(NOW + 33)
    link.lost(1, NOW + 33)
    assert link.bytes_per_second(NOW + 40) == pytest.approx(slow)
    assert link.in_flight == 0


def test_after_a_minute_without_the_cloud_one_small_picture_brings_the_way_back() -> None:
    link = Link()
    lived(link, Way(lambda _: 8 * MEGABIT), NOW, 30)
    now = NOW + 31
    for number in range(12):
        assert link.probe_due(now + PROBE_SECONDS)
        link.sent(number, 5000, now + PROBE_SECONDS)
        now += PROBE_SECONDS + 2
        link.lost(number, now)
    assert on_time(link, PICTURE, 0.25, now) < 0.01
    way = Way(lambda _: 8 * MEGABIT)
    at, service = way.send(5000, now)
    link.sent(100, 5000, now)
    link.answered(100, at, service)
    assert on_time(link, PICTURE, 0.25, at) > 0.5


def test_what_is_under_way_is_waited_for_and_less_of_it_as_time_passes() -> None:
    link = Link()
    alone = link.need(PICTURE, NOW)
    link.sent(1, PICTURE, NOW)
    link.sent(2, PICTURE, NOW)
    behind = link.need(PICTURE, NOW)
    assert behind - alone == pytest.approx(2 * PICTURE / FIRST_BYTES_PER_SECOND)
    assert link.need(PICTURE, NOW + 0.1) == pytest.approx(behind - 0.1)


def test_a_cloud_that_became_slow_is_known_as_slow() -> None:
    link = Link()
    lived(link, Way(lambda _: 8 * MEGABIT), NOW, 30)
    lived(link, Way(lambda _: 8 * MEGABIT, service=0.5), NOW + 30, 3)
    assert on_time(link, PICTURE, 0.25, NOW + 34) < 0.5


def test_a_larger_picture_is_less_likely_in_time_and_never_impossible_to_ask_for() -> None:
    link = Link()
    odds = [on_time(link, nbytes, 0.25, NOW) for nbytes in (1000, 10_000, 30_000, 100_000, 10**9)]
    assert odds == sorted(odds, reverse=True)
    assert on_time(link, PICTURE, -1e9, NOW) == 0.0


def test_a_way_in_use_is_not_probed_and_an_answer_that_nobody_asked_for_teaches_nothing() -> None:
    link = Link()
    assert link.probe_due(NOW)
    link.sent(1, PICTURE, NOW)
    assert not link.probe_due(NOW + 60)
    link.answered(1, NOW + 60.1)
    assert not link.probe_due(NOW + 61)
    before = link.need(PICTURE, NOW + 61)
    link.answered(1, NOW + 61)
    link.lost(7, NOW + 61)
    assert link.need(PICTURE, NOW + 61) == before
