"""What a door is made of, each alone: buckets of sites, turns of partitions, lines that stand, what is foretold."""

from __future__ import annotations

import itertools

import pytest

from agent.door.foretelling import CAREFUL, LEAST, MOST, WINDOW, Foretelling
from agent.door.shares import SHARES, Partition
from agent.door.sharing import Sharing
from agent.door.sites import BURST, KEPT, Bucket, Sites, pour
from agent.door.standing import Standing

LIVE, HARD, BATCH = Partition


def test_what_a_full_bucket_has_no_room_for_goes_to_the_others() -> None:
    nearly_full, empty, in_debt = Bucket(BURST - 0.01, 0.0), Bucket(0.0, 0.0), Bucket(-0.1, 0.0)
    pour([nearly_full, empty, in_debt], 0.11)
    assert nearly_full.credit == pytest.approx(BURST)
    assert empty.credit == pytest.approx(0.05)
    assert in_debt.credit == pytest.approx(-0.05)


def test_what_nobody_has_room_for_is_lost() -> None:
    buckets = [Bucket(BURST, 0.0), Bucket(BURST - 0.01, 0.0)]
    pour(buckets, 5.0)
    assert [each.credit for each in buckets] == [pytest.approx(BURST)] * 2


def test_a_site_that_asks_alone_always_has_credit_and_no_debt_grows_without_end() -> None:
    sites = Sites()
    sites.asked("a", 0.0)
    for _ in range(100):
        sites.spend("a", 1.0)
    assert sites.in_credit("a")
    sites.asked("b", 0.1)
    assert not sites.in_credit("a")
    sites.done = 2.2 * BURST / KEPT
    sites.asked("b", 0.2)
    assert sites.in_credit("a")


def test_a_site_that_was_silent_for_a_second_takes_no_part() -> None:
    sites = Sites()
    sites.asked("gone", 0.0)
    sites.asked("here", 5.0)
    sites.asked("here", 5.02)
    assert sites.only == "here"


def test_sites_without_number_are_forgotten_the_longest_silent_first() -> None:
    sites = Sites()
    for number in range(1000):
        sites.asked(str(number), 0.001 * number)
    assert len(set(sites)) == 256
    assert "999" in sites
    assert "0" not in sites


def test_a_partition_that_was_away_begins_where_the_others_are() -> None:
    sharing = Sharing(SHARES)
    for _ in range(100):
        sharing.took(BATCH, 1.0)
    before = 0
    while sharing.next([LIVE, BATCH]) is LIVE:
        sharing.took(LIVE, 1.0)
        before += 1
    assert before == pytest.approx(SHARES[LIVE] / SHARES[BATCH], abs=1)  # and not a hundred times as many


def test_a_burst_that_passes_is_no_standing_line() -> None:
    line = Standing()
    assert not any(line.drops(waited, now) for waited, now in [(1.5, 0.0), (1.2, 0.5), (0.9, 0.9), (1.1, 1.1)])
    assert not line.stands


def test_a_line_that_stands_drops_ever_faster_until_it_moves() -> None:
    line = Standing()
    dropped = [now / 100 for now in range(1000) if line.drops(2.0, now / 100)]
    gaps = [later - before for before, later in itertools.pairwise(dropped)]
    assert dropped[0] == pytest.approx(1.0)
    assert gaps[0] == pytest.approx(1.0, abs=0.02)
    assert gaps[3] == pytest.approx(0.5, abs=0.02)
    assert not line.drops(0.5, 10.0)
    assert not line.stands


def test_what_is_foretold_is_trusted_as_far_as_it_was_right() -> None:
    foretelling = Foretelling()
    assert foretelling.margin == CAREFUL
    for _ in range(WINDOW):
        foretelling.learn(0.1, 0.08)
    assert foretelling.margin == LEAST > 1.0
    for _ in range(16):
        foretelling.learn(0.1, 0.2)
    assert foretelling.margin == pytest.approx(2.0)
    for _ in range(16):
        foretelling.learn(0.1, 9.0)
    assert foretelling.margin == MOST
