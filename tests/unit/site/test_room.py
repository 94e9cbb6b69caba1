"""What was asked for last stays; and how long a box waits for a cache that fetches."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from agent.site.room import stays
from agent.site.waiting import LONGEST_PAUSE, LONGEST_SECONDS, STILL_SECONDS, Waiting
from protos.errors import Retryable
from protos.ids import Digest

A, B, C = map(Digest, "abc")


@pytest.mark.parametrize(
    ("room", "left"), [(100, [C, A, B]), (60, [C, A, B]), (59, [C, A]), (30, [C]), (29, []), (0, []), (-5, [])]
)
def test_what_was_asked_for_last_stays_longest(room: int, left: list[Digest]) -> None:
    assert stays({A: 20, B: 10, C: 30}, {A: 5.0, C: 9.0}, room) == left


def test_a_cache_that_gets_on_is_waited_for_and_asked_ever_more_rarely() -> None:
    waiting, now, pauses = Waiting(0.0), 0.0, []
    for fetched in range(0, 10_000, 1000):
        pauses.append(waiting.told(fetched, now))
        now += pauses[-1]
    assert (pauses[0], pauses[-1]) == (0.5, LONGEST_PAUSE)


def until_given_up(fetched: Callable[[float], int], why: str) -> float:
    waiting, now = Waiting(0.0), 0.0
    try:
        while now < 2 * LONGEST_SECONDS:
            now += waiting.told(fetched(now), now)
    except Retryable as error:
        return now if why in str(error) else math.inf
    return math.inf


def test_a_cache_that_gets_nowhere_is_given_up() -> None:
    assert until_given_up(lambda _: 7, "got nowhere") <= STILL_SECONDS + LONGEST_PAUSE


def test_a_cache_that_says_it_gets_on_and_never_ends_is_given_up() -> None:
    assert until_given_up(lambda now: int(now * 1000), "has no end") <= LONGEST_SECONDS + LONGEST_PAUSE
