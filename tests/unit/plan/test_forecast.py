"""What a plan says, from the agent's own lane in virtual time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.plan import text
from agent.plan.forecast import Plan, Share, forecast, plan
from agent.plan.run import run
from agent.plan.wish import Box, Cloud, Wish
from agent.simulation.contender import Picture, Size
from tests.sim.plans import WORDS

WISH = Wish(
    box=Box((Size("small", 0.012, 0.61),), says="as told"),
    cloud=Cloud(0.02, (Picture(80, 640, 28_000, 0.92),)),
    cameras=4,
    rate=10.0,
    busy=1.0,
    deadline=0.25,
    link=0.0,
    rtt=0.03,
    budget=0.0,
)
FEW = Share(0.61, 0.60, 0.62, 0.4, 0.53, 0.08, 0.35, 0.04, 8e5)


def played(wish: Wish) -> Share:
    return forecast(wish, seeds=(1,), run_seconds=6.0, settling=2.0)


def test_a_box_with_time_to_spare_answers_all() -> None:
    share = played(WISH)
    assert share.in_time > 0.99
    assert share.right == pytest.approx(0.61, abs=0.1), "a few scenes only, each for some frames"


def test_a_box_of_half_the_speed_that_is_needed_answers_about_half() -> None:
    share = played(replace(WISH, cameras=16))
    assert share.in_time == pytest.approx(1 / (16 * 10 * 0.012), abs=0.08)
    assert share.in_time + share.given_up + share.late == pytest.approx(1.0)


def test_a_good_link_answers_what_the_box_cannot() -> None:
    busy = replace(WISH, cameras=12)
    helped = played(replace(busy, link=20e6, budget=20e6))
    assert helped.in_time > played(busy).in_time + 0.1
    assert helped.cloud > 0.1
    assert 0 < helped.uplink <= 20e6


def test_a_plan_keeps_to_the_budget_once_it_has_settled() -> None:
    spent = replace(WISH, cameras=12, link=20e6, budget=1e6)
    assert 0 < forecast(spent, seeds=(1,), run_seconds=10.0, settling=50.0).uplink < 1.3e6


def test_a_plan_is_the_same_twice() -> None:
    assert played(WISH) == played(WISH)


def test_a_plan_says_what_helps_most() -> None:
    made = Plan(
        WISH, FEW, (("twice the link", replace(FEW, in_time=0.7)), ("a faster box", replace(FEW, in_time=0.98)))
    )
    assert text.sentence(made) == (
        "of 100 frames 61 are answered in time (60.0% to 62.0%), 8 of them by the cloud with 800 kbit/s; "
        "what helps most is a faster box: 98"
    )


def test_a_plan_that_is_enough_recommends_nothing() -> None:
    made = Plan(WISH, replace(FEW, in_time=0.997, worst=0.997, best=0.997, cloud=0.0), (("more", FEW),))
    assert text.sentence(made) == "of 100 frames 99.7 are answered in time: this is enough"


def test_a_plan_that_nothing_helps_says_so() -> None:
    assert "nothing in this table helps" in text.sentence(Plan(WISH, FEW, (("more", FEW),)))


def test_guessed_shares_are_called_guesses() -> None:
    assert text.GUESSED not in text.text(Plan(WISH, FEW, ()))
    assert text.GUESSED in text.text(Plan(replace(WISH, measured=False), FEW, ()))


def test_what_is_played_now_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.plan.forecast.SEEDS", (1,))
    told: list[tuple[str, float]] = []
    found = plan(replace(WISH, cameras=1, rate=1.0), lambda name, share: told.append((name, share)))
    assert [name for name, _ in told] == ["as asked", *(name for name, _ in found.others)]
    assert told[-1][1] < 1.0


def test_the_whole_way_from_words_to_a_table_and_to_json() -> None:
    words, said = replace(WORDS, cameras=1, rate=1.0), list[str]()
    run(words, said.append)
    assert "IN TIME" in said[0]
    assert "cameras: 1, 1 frames a second each" in said[0]
    run(replace(words, form="json"), said.append)
    found = json.loads(said[1])
    assert found["shares"]["inTime"] > 0.9
    assert found["asked"]["linkBitsPerSecond"] == 4e6
