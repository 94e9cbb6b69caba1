"""The driver of the decision bench: it keeps the rules, whoever decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from agent.simulation.contender import CLOUD, Act, CallOff, End, Offer, Reply, Send, Start
from agent.simulation.drive import PATIENCE, BrokenRule, play
from agent.simulation.meter import measured
from agent.simulation.ourselves import Ourselves
from agent.simulation.scenario import Arrivals, Spell, Step, Uplink
from agent.simulation.world import draw, known
from bench.decision.rivals.named import FIXED
from bench.decision.scenarios import CALIBRATION, SCENARIOS
from protos.outcomes import Outcome

QUIET = replace(
    CALIBRATION,
    seconds=2.0,
    arrivals=Arrivals("steady", cameras=1, rate=2.0),
    thermal=Spell(0.0, 0.0),
    slow_share=0.0,
    noise=0.0,
    uplink=Uplink(steps=(Step(0.0, 8e6),), jitter=0.0),
)


class Scripted:
    """Does `at_arrival` with each frame, and what is given for the rest; else ends a frame by its first answer."""

    def __init__(self, at_arrival: Callable[[Offer], list[Act]], after: Callable[[int], list[Act]] | None = None):
        self.at_arrival, self.after = at_arrival, after
        self.heard: list[tuple[str, float]] = []
        self.wake_at: float | None = None

    def arrive(self, offer: Offer, now: float) -> list[Act]:
        self.heard.append(("arrived", now))
        return self.at_arrival(offer)

    def local_done(self, numbers: tuple[int, ...], replies: Sequence[Reply], now: float) -> list[Act]:
        self.heard.append(("here", now))
        return self.after(numbers[0]) if self.after else [End(numbers[0], Outcome.OK_LOCAL, "small")]

    def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
        self.heard.append(("encoded", now))
        return []

    def cloud_done(self, number: int, reply: Reply, now: float) -> list[Act]:
        self.heard.append((reply.error or "there", now))
        return [End(number, Outcome.ERROR) if reply.error else End(number, Outcome.OK_CLOUD, CLOUD)]

    def tick(self, now: float) -> list[Act]:
        return []


def _here(offer: Offer) -> list[Act]:
    return [Start((offer.number,), "small")]


def _there(offer: Offer) -> list[Act]:
    return [Send(offer.number)]


def test_a_call_takes_what_the_size_takes() -> None:
    contender = Scripted(_here)
    played = play(draw(QUIET, 1), contender)
    times = [at for _, at in contender.heard]
    assert times[1] - times[0] == pytest.approx(0.012)
    assert {fate.outcome for fate in played.fates} == {Outcome.OK_LOCAL}


def test_a_hot_box_takes_longer() -> None:
    contender = Scripted(_here)
    play(draw(replace(QUIET, thermal=Spell(0.0, 9.0, factor=1.5)), 1), contender)
    assert contender.heard[1][1] - contender.heard[0][1] == pytest.approx(0.018)


def test_the_way_up_is_encoding_then_bits_then_the_round_trip_and_the_service() -> None:
    contender = Scripted(_there)
    play(draw(QUIET, 1), contender)
    (_, arrived), (_, encoded), (_, answered) = contender.heard[:3]
    assert encoded - arrived == pytest.approx(0.0015)
    assert answered - encoded == pytest.approx(28_000 * 8 / 8e6 + 0.030 + 0.020)


def test_a_dead_link_is_told_as_an_error_when_nobody_listens_any_more() -> None:
    contender = Scripted(_there)
    played = play(draw(replace(QUIET, uplink=Uplink(steps=(Step(0.0, 0.0),))), 1), contender)
    first = next(at for what, at in contender.heard if what == "no answer in time")
    assert first == pytest.approx(contender.heard[0][1] + 0.250 + PATIENCE)
    assert {fate.outcome for fate in played.fates} == {Outcome.ERROR}
    assert played.passed_bits == 0.0


def test_a_picture_that_is_called_off_takes_none_of_the_link() -> None:
    class Calling(Scripted):
        def encoded(self, number: int, nbytes: int, now: float) -> list[Act]:
            return [CallOff(number)]

    played = play(draw(QUIET, 1), Calling(_there))
    assert played.sent == []
    assert {fate.outcome for fate in played.fates} == {Outcome.ERROR}


@pytest.mark.parametrize(
    ("contender", "broken"),
    [
        (Scripted(lambda offer: [*_here(offer), *_here(offer)]), "a call too many"),
        (Scripted(lambda offer: [End(offer.number, Outcome.OK_LOCAL, "small")]), "which gave none"),
        (Scripted(lambda offer: [End(offer.number, Outcome.OK_LOCAL)]), "without an answer"),
        (Scripted(lambda offer: [End(offer.number, Outcome.SHED)] * 2), "ended twice"),
        (Scripted(lambda _: []), "never ended"),
        (Scripted(lambda offer: [Start((offer.number + 1,), "small")]), "not there yet"),
    ],
)
def test_who_breaks_a_rule_is_stopped(contender: Scripted, broken: str) -> None:
    with pytest.raises(BrokenRule, match=broken):
        play(draw(QUIET, 1), contender)


def test_a_late_answer_is_not_called_in_time() -> None:
    hot = replace(QUIET, thermal=Spell(0.0, 9.0, factor=30.0))
    with pytest.raises(BrokenRule, match="late"):
        play(draw(hot, 1), Scripted(_here))


def test_a_timer_that_stands_still_is_an_error_not_a_hang() -> None:
    contender = Scripted(_here)
    contender.wake_at = 0.1
    with pytest.raises(BrokenRule, match="time stands still"):
        play(draw(QUIET, 1), contender)


@pytest.mark.parametrize("scenario", ["calibration", "storm", "mobile", "outage", "two-slots", "pictures"])
def test_every_frame_ends_once_and_every_slot_comes_back(scenario: str) -> None:
    world = draw(replace(SCENARIOS[scenario], seconds=20.0), 2)
    lane = Ourselves(known(world.scenario), 2)
    figures = measured(world, play(world, lane))
    assert sum(figures.outcomes.values()) == world.frames
    assert lane.open_slots == 0


def test_another_contender_meets_the_very_same_world() -> None:
    """What a frame's answer is depends on nobody's having asked before."""
    world = draw(replace(CALIBRATION, seconds=10.0), 2)
    first = play(world, FIXED["newest-small"](known(world.scenario), 2))
    play(world, Ourselves(known(world.scenario), 2))
    again = play(world, FIXED["newest-small"](known(world.scenario), 2))
    assert first.fates == again.fates
    assert first.calls == again.calls


def test_what_a_lane_does_is_decided_by_the_seed() -> None:
    world = draw(replace(CALIBRATION, seconds=20.0), 2)
    one, two = (play(world, Ourselves(known(world.scenario), 2), telling=True) for _ in range(2))
    assert one.told == two.told
