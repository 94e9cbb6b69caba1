"""What a box makes of its cache: left alone when it fails, for an hour when it gave other bytes, and told."""

from __future__ import annotations

import pytest

from agent.site import standing
from agent.site.standing import FIRST_SECONDS, LACKING_SECONDS, LIED_SECONDS, LONGEST_SECONDS, Lacking, Origin, Standing
from protos.errors import Retryable
from protos.ids import Digest, digest_of
from protos.problems import NOTICE
from tests.sim.clock import FakeClock

FILE, OTHER = digest_of(b"file"), digest_of(b"other")
AWAY = Retryable("nobody answers")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(clock: FakeClock) -> Standing:
    return Standing("http://10.0.0.5:8003", clock.monotonic)


def test_a_box_without_a_cache_asks_none() -> None:
    assert not Standing().asks(FILE)


def test_one_that_fails_is_left_alone_ever_longer_and_one_that_does_well_is_asked_at_once(
    cache: Standing, clock: FakeClock
) -> None:
    waits = []
    for _ in range(12):
        cache.failed(FILE, AWAY)
        since = clock.monotonic()
        while not cache.asks(OTHER):
            clock.tick(1.0)
        waits.append(clock.monotonic() - since)
    assert (waits[0], waits[1], waits[-1]) == (FIRST_SECONDS, 2 * FIRST_SECONDS, LONGEST_SECONDS)
    cache.did_well()
    cache.failed(FILE, AWAY)
    clock.tick(FIRST_SECONDS)
    assert cache.asks(FILE)


def test_what_it_lacks_it_is_asked_for_again_later_and_for_others_at_once(cache: Standing, clock: FakeClock) -> None:
    cache.failed(FILE, Lacking("it has none"))
    assert (cache.asks(FILE), cache.asks(OTHER), cache.problems()) == (False, True, [])
    clock.tick(LACKING_SECONDS)
    assert cache.asks(FILE)


def test_one_that_lied_is_not_asked_for_an_hour_and_calls_somebody(cache: Standing, clock: FakeClock) -> None:
    cache.took(Origin.SITE_CACHE, FILE, 100)
    assert cache.gave(FILE)
    cache.lied(FILE)
    assert not cache.gave(FILE)
    [problem] = cache.problems()
    assert problem.code == standing.WRONG
    assert "http://10.0.0.5:8003" in problem.message
    assert "look who answers" in problem.message
    clock.tick(LIED_SECONDS - 1)
    assert not cache.asks(FILE)
    clock.tick(1)
    assert cache.asks(FILE)


def test_a_failure_is_told_without_calling_anybody_until_it_does_well(cache: Standing, clock: FakeClock) -> None:
    cache.failed(FILE, AWAY)
    [problem] = cache.problems()
    assert (problem.code, "nobody answers" in problem.message) == (NOTICE, True)
    cache.did_well()
    assert cache.problems() == []
    cache.failed(FILE, AWAY)
    clock.tick(standing.TOLD_SECONDS)
    assert cache.problems() == []  # nothing was fetched since: nobody knows


def test_a_lie_is_not_covered_by_a_failure(cache: Standing) -> None:
    cache.lied(FILE)
    cache.failed(FILE, AWAY)
    assert [problem.code for problem in cache.problems()] == [standing.WRONG]


def test_a_lie_of_long_ago_is_not_told_again_by_a_failure(cache: Standing, clock: FakeClock) -> None:
    cache.lied(FILE)
    clock.tick(LIED_SECONDS)
    cache.failed(FILE, AWAY)
    assert [problem.code for problem in cache.problems()] == [NOTICE]


def test_bytes_are_counted_by_where_they_came_from(cache: Standing) -> None:
    cache.took(Origin.SITE_CACHE, FILE, 100)
    cache.took(Origin.CONTROL_PLANE, FILE, 7)
    cache.took(Origin.CONTROL_PLANE, OTHER, 7)
    assert cache.came == {Origin.SITE_CACHE: 100, Origin.CONTROL_PLANE: 14}
    assert not cache.gave(OTHER)


def test_a_box_of_many_files_remembers_a_bounded_number(cache: Standing) -> None:
    for number in range(3 * standing.MOST_REMEMBERED):
        cache.took(Origin.SITE_CACHE, Digest(str(number)), 1)
        cache.failed(Digest(str(number)), Lacking("none"))
    assert len(cache._gave) == len(cache._lacking) == standing.MOST_REMEMBERED
