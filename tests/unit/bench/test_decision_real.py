"""What windows on real processes are told and held to, without any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.simulation import world as worlds
from agent.simulation.contender import Act, Reply
from agent.simulation.drive import play
from agent.simulation.ourselves import Ourselves
from bench.decision_real import figures, fitting, scenes
from bench.decision_real.around import MOST_FOREIGN
from bench.decision_real.figures import Played
from bench.decision_real.fitting import Fit, OnABox
from bench.decision_real.messages import Ask, Ended, Opened
from bench.decision_real.scenes import CALM, CUT, OVERLOAD, BoxFacts
from protos.outcomes import Outcome

FACTS = BoxFacts(full=0.015, local=0.7, nbytes=20_000)
OPENED = Opened(1, [], [20_000] * 8, [0.3 + 0.05 * k for k in range(8)], [k > 2 for k in range(8)], 0.012, 1)
FIT = Fit((0.014, 0.015, 0.016), (0.010,))


def played(outcomes: Sequence[str], said: dict[str, float], foreign: float = 0.0, scene: str = "overload") -> Played:
    ended = Ended(list(outcomes), [0.1 * k for k in range(len(outcomes))], [0.001] * len(outcomes), [0.01], [], [])
    return Played(scene, 1, foreign, ended, said, said, 0.0)


def test_shares_that_came_stand_next_to_those_that_were_said_in_points() -> None:
    came = [Outcome.OK_LOCAL] * 6 + [Outcome.OK_CLOUD] * 2 + [Outcome.SHED, Outcome.CLOUD_LATE]
    found = figures.scene_figures([played(came, {"ok_local": 0.5, "ok_cloud": 0.2, "shed": 0.3})])
    apart = {kind: each["points"] for kind, each in found["shares"].items()}
    assert apart == {"on time": 10.0, "by the cloud": 0.0, "given up": -20.0, "late": 10.0}
    assert found["late_of_taken_on"] == pytest.approx(1 / 9, abs=1e-4)


def test_a_window_in_which_others_took_the_cores_judges_nothing() -> None:
    assert played(["ok_local"], {}, foreign=MOST_FOREIGN).judges
    assert not played(["ok_local"], {}, foreign=MOST_FOREIGN + 0.01).judges


def test_too_few_windows_that_judge_are_told_and_so_is_what_lies_too_far_apart() -> None:
    scene = figures.by_scene([played(["ok_local"] * 9 + ["expired"], {"ok_local": 0.8, "shed": 0.2})])
    told = figures.missed(scene, 3)
    assert "3 windows judge, of 20" in told[0]
    assert any("on time is +10.0 points" in each for each in told)
    assert any("10.0% of what was taken on is late" in each for each in told)
    same = figures.by_scene([played(["ok_local"] * 10, {"ok_local": 1.0})])
    assert figures.missed(same, 20) == []


def test_what_lies_too_far_apart_has_its_reason_where_the_times_of_the_window_explain_it() -> None:
    came = Ended(["ok_local"] * 8 + ["shed"] * 2, [0.0] * 10, [0.0], [0.02], [], [])
    own = {"ok_local": 0.79, "shed": 0.21}
    found = figures.by_scene([Played("overload", 1, 0.0, came, {"ok_local": 1.0}, own, 0.0)])
    on_time, given_up = figures.reasons(found, {"overload": 15.0})
    assert on_time == (
        "overload, on time: of -20.0 points +1.0 are left with its own times; "
        "a call took 20 ms where 15 had been measured"
    )
    assert "given up: of +20.0 points -1.0" in given_up
    assert figures.reasons(figures.by_scene([played(["ok_local"], {"ok_local": 1.0})]), {"overload": 15.0}) == []


def test_silence_is_the_longest_time_without_an_answer_in_time_while_the_link_is_cut() -> None:
    ended = Ended(["ok_local", "shed", "ok_local", "ok_local"], [1.2, 1.3, 1.9, 3.5], [], [], [], [])
    assert figures.silence(Played("cut", 1, 0.0, ended, {}, {}, 0.0, (1.0, 2.0))) == pytest.approx(0.7)


def test_a_scene_offers_its_load_of_what_the_box_can() -> None:
    for scene in (CALM, OVERLOAD):
        world = worlds.draw(scenes.scenario(scene, 20.0, FACTS, 0.015), 1)
        assert world.frames / 20.0 * FACTS.full == pytest.approx(scene.load, rel=0.05)


def test_no_bit_passes_a_link_while_it_is_cut() -> None:
    trace = worlds.draw(scenes.scenario(CUT, 10.0, FACTS, 0.015), 1).trace
    assert trace.capacity(2.0, 5.0) == 0.0
    assert trace.capacity(5.0, 6.0) == scenes.RATE


def test_the_shares_that_are_said_are_of_all_frames() -> None:
    world = worlds.draw(scenes.scenario(CUT, 3.0, FACTS, 0.015), 1)
    said = fitting.predicted(world, FIT, OPENED, fitting.pictures(world.frames, OPENED, 1))
    assert sum(said.values()) == pytest.approx(1.0)
    assert 0.3 < said[Outcome.OK_LOCAL] < 1.0


def test_a_slower_box_is_said_to_answer_less() -> None:
    world = worlds.draw(scenes.scenario(OVERLOAD, 3.0, FACTS, 0.015), 1)
    shown = fitting.pictures(world.frames, OPENED, 1)
    fast, slow = (fitting.predicted(world, Fit((call,), (0.01,)), OPENED, shown) for call in (0.015, 0.030))
    assert slow[Outcome.OK_LOCAL] < 0.7 * fast[Outcome.OK_LOCAL]


def test_what_the_way_takes_beyond_the_link_is_found_again() -> None:
    world = worlds.draw(scenes.scenario(OVERLOAD, 3.0, FACTS, 0.015), 1)
    usual = 8 * 20_000 / scenes.RATE + scenes.SERVICE + scenes.RTT
    asks = [Ask(0.1 * k, usual + 0.007, 20_000, answered=k != 3) for k in range(9)]
    ended = Ended([], [], [], [], [0.0015], asks)
    assert fitting.beyond(ended, world) == pytest.approx([0.007] * 8)
    assert fitting.beyond(Ended([], [], [], [], [], []), world) == []


def test_a_box_hears_no_answer_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(scenes.scenario(OVERLOAD, 2.0, FACTS, 0.015), service=1.0)
    world = worlds.draw(slow, 1)
    heard: list[tuple[str, float]] = []
    usual = Ourselves.cloud_done

    def noted(self: Ourselves, number: int, reply: Reply, now: float) -> list[Act]:
        heard.append((reply.error, now - float(world.deadline[number])))
        return usual(self, number, reply, now)

    monkeypatch.setattr(Ourselves, "cloud_done", noted)
    play(world, OnABox(fitting.known(world.scenario, OPENED), 1))
    assert heard
    assert {error for error, _ in heard} == {fitting.UNHEARD}
    assert max(after for _, after in heard) < 1e-9


def test_knots_rise_in_score_and_share() -> None:
    found = fitting.knots([0.9, 0.3, 0.5, 0.4, 0.8, 0.7], [True, False, False, True, True, False])
    assert list(found) == sorted(found)
    assert [share for _, share in found] == sorted(share for _, share in found)
