"""The baselines: each does what its original does, and none is made worse than it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agent.offload.cost import CostLine
from agent.simulation.contender import Maker, Offer
from agent.simulation.drive import Played, play
from agent.simulation.meter import measured
from agent.simulation.scenario import Scenario
from agent.simulation.world import World, draw, known
from bench.decision.rivals import grid, named, token_dqn
from bench.decision.rivals.books import Job
from bench.decision.rivals.dqn import Episode, Network, trained
from bench.decision.rivals.grid import Point, Tried, Tuned, tuned
from bench.decision.rivals.tokens import TokenBucket
from bench.decision.rivals.waiting import Corked, Fifo, Frigate, Newest
from bench.decision.rivals.wire import Wire
from bench.decision.rivals.worth import Worth
from bench.decision.scenarios import CALIBRATION, SCENARIOS
from protos.outcomes import IN_TIME

SEED = 3


def short(name: str, seconds: float = 20.0) -> Scenario:
    return replace(SCENARIOS[name], seconds=seconds)


@cache
def world(name: str, seconds: float = 20.0) -> World:
    return draw(short(name, seconds), SEED)


def played(name: str, maker: Maker, seconds: float = 20.0) -> Played:
    of = world(name, seconds)
    return play(of, maker(known(of.scenario), SEED))


def on_time(of: Played) -> float:
    return sum(fate.outcome in IN_TIME for fate in of.fates) / len(of.fates)


def job(number: int, camera: int, captured: float = 0.0) -> Job:
    return Job(Offer(number, camera, number, captured, 0, captured + 0.25, 1.0), "medium", waiting=True)


@pytest.mark.parametrize("name", sorted(named.FIXED))
@pytest.mark.parametrize("scenario", ["calibration", "mixed", "cut-off", "two-slots"])
def test_every_baseline_ends_every_frame_once_by_the_rules_of_the_driver(name: str, scenario: str) -> None:
    found = played(scenario, named.FIXED[name], 8.0)
    assert all(fate.outcome for fate in found.fates)


def test_an_endless_queue_answers_late_what_a_mailbox_answers_in_time() -> None:
    fifo, newest = played("overload-2", named.FIXED["fifo"]), played("overload-2", named.FIXED["newest"])
    assert on_time(fifo) < 0.1 < 0.3 < on_time(newest)
    assert all(fate.by for fate in fifo.fates), "it gives nothing up"


def test_a_small_model_with_admission_is_never_late() -> None:
    found = Counter(fate.outcome for fate in played("calibration", named.FIXED["newest-small"]).fates)
    assert not found["expired"]
    assert found["ok_local"] > 0.9 * found.total()


def test_a_full_queue_gives_up_its_oldest() -> None:
    queue, jobs = Fifo(bound=2), [job(number, number) for number in range(3)]
    assert [queue.put(each, 0.0) for each in jobs] == [[], [], [jobs[0]]]
    assert queue.take() == [jobs[1]]


def test_a_mailbox_keeps_the_newest_at_its_cameras_place_in_the_line() -> None:
    box, first, other, newer = Newest(), job(1, 0), job(2, 1), job(3, 0)
    box.put(first, 0.0)
    box.put(other, 0.0)
    assert box.put(newer, 0.0) == [first]
    assert [box.take(), box.take(), box.take()] == [[newer], [other], []]


def test_frigates_camera_asks_one_frame_at_a_time_keeps_two_and_skips_what_comes_then() -> None:
    line, jobs = Frigate(), [job(number, 0) for number in range(4)]
    assert [line.put(each, 0.0) for each in jobs] == [[], [], [], [jobs[3]]]
    assert line.take() == [jobs[0]]
    assert line.take() == [], "the camera waits for its answer"
    line.over(jobs[0])
    assert line.take() == [jobs[1]]


def test_bentomls_queue_gives_up_its_oldest_until_all_that_wait_fit_the_latency_budget() -> None:
    queue = Corked(budget=0.1, cost=CostLine([(1, 0.03)]))
    for number in range(4):
        queue.put(job(number, number, captured=0.01 * number), 0.0)
    assert [each.offer.number for each in queue.due(0.04)] == [0, 1], "0.02 waited and two to run: 0.08"
    assert [each.offer.number for each in queue.take()] == [3]


def test_the_static_threshold_loses_nothing_to_a_dead_cloud() -> None:
    dead = played("cut-off", lambda release, seed: named.threshold(0, Point(8, 0.9), release, seed))
    alone = played("cut-off", named.FIXED["newest-small"])
    assert on_time(dead) == pytest.approx(on_time(alone), abs=0.005)
    assert dead.sent


def test_a_guarded_cloud_wastes_little_of_a_slow_link() -> None:
    guarded, careless = (played("fade", named.FIXED[name], 40.0) for name in ("guarded", "cloud"))
    late = sum(fate.begun and fate.outcome not in IN_TIME for fate in guarded.fates)
    assert on_time(guarded) > 4 * on_time(careless)
    assert late < 0.4 * sum(fate.begun for fate in guarded.fates)


def test_the_grid_keeps_the_best_and_the_best_within_the_budget() -> None:
    tries = (Tried(Point(1, 0.9), 0.7, 4e6), Tried(Point(8, 0.5), 0.6, 1e6), Tried(Point(8, 0.0), 0.5, 0.0))
    assert Tuned(tries, 1.5e6).best == Point(1, 0.9)
    assert Tuned(tries, 1.5e6).within == Point(8, 0.5)
    assert Tuned(tries[:2], 1e5).within == Point(8, 0.5), "none keeps to it: the one that sends least"


def test_tuning_plays_each_point_on_the_training_world() -> None:
    of, release = world("calibration", 8.0), known(CALIBRATION)
    found = tuned(of, lambda point: named.threshold(0, point, release, SEED), (Point(8, 0.0), Point(8, 0.5)))
    assert [each.uplink > 0 for each in found.tried] == [False, True]
    assert found.tried[0].useful == measured(of, played("calibration", named.FIXED["newest-small"], 8.0)).useful


def test_the_grid_has_forty_points() -> None:
    assert len(set(grid.POINTS)) == 40


def test_linucb_asks_a_dead_cloud_less_and_less() -> None:
    found = played("cut-off", named.FIXED["linucb"])
    early = sum(at < 5.0 for at, _ in found.sent)
    late = sum(at >= 10.0 for at, _ in found.sent)
    assert early > 2 * late


def test_a_token_bucket_lets_no_more_pass_than_its_depth_and_its_rate() -> None:
    bucket, passed = TokenBucket(rate=1000.0, depth=500.0), 0.0
    for step in range(400):
        now = 0.01 * step
        if bucket.allows(60.0, now):
            bucket.spend(60.0, now)
            passed += 60.0
        assert passed <= 500.0 + 1000.0 * now


def test_the_wire_learns_how_fast_pictures_pass_though_they_queue() -> None:
    wire, sent = Wire(), 0.0
    for number in range(40):  # two at a time on a link of 80 kB/s, with 50 ms of way and work
        wire.sent(number, 8_000, sent)
        if number:
            sent = 0.1 * number + 0.05
            wire.answered(number - 1, sent, failed=False)
    assert wire.pace == pytest.approx(0.1 / 8_000, rel=0.1)
    assert wire.need(8_000) == pytest.approx(0.25, rel=0.1)


def test_a_score_is_worth_what_the_release_says_and_between_its_knots_what_lies_between() -> None:
    worth = Worth(0.9, ((0.2, 0.1), (0.6, 0.5)))
    assert [worth.box(score) for score in (0.0, 0.4, 0.6, 1.0)] == pytest.approx([0.1, 0.3, 0.5, 0.5])
    assert Worth(0.9).box(0.3) == 0.3


def test_the_networks_gradients_are_those_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    network, states, pull = Network.drawn(3, 2, rng), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    slopes = network.gradients(network.forward(states), pull)
    for layer, (weights, _) in enumerate(network.layers):
        before = float((network.values(states) * pull).sum())
        weights[0, 1] += 1e-6
        after = float((network.values(states) * pull).sum())
        weights[0, 1] -= 1e-6
        assert slopes[layer][0][0, 1] == pytest.approx((after - before) / 1e-6, rel=1e-3, abs=1e-6)


def _coins() -> Episode:
    """Heads pays, tails costs."""
    rng, shown = np.random.default_rng(2), [1.0]

    def act(action: int) -> tuple[float, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        reward = shown[0] * action
        shown[0] = float(rng.choice([-1.0, 1.0]))
        return reward, np.array(shown)

    return Episode(lambda: np.array(shown), act, inputs=1, actions=2)


def test_training_learns_what_pays_and_twice_the_same() -> None:
    one, two = trained(_coins(), 2_000, seed=5), trained(_coins(), 2_000, seed=5)
    heads, tails = one.values(np.array([1.0])), one.values(np.array([-1.0]))
    assert heads[1] > heads[0]
    assert tails[1] < tails[0]
    assert all((a[0] == b[0]).all() for a, b in zip(one.layers, two.layers, strict=True))


def test_qius_network_spends_its_tokens_on_what_the_cloud_would_gain_most() -> None:
    answers = [(0.02 * number, 0.1 if number % 4 == 0 else 0.9) for number in range(800)]
    worth = Worth(0.92)
    network = token_dqn.learned(answers, worth, bits_per_second=1.5e6, picture_bits=224_000.0, seed=1, steps=4_000)

    def wish(confidence: float) -> float:
        values = network.values(token_dqn.state(0.3, token_dqn.gain(worth, confidence), 0.02))
        return float(values[1] - values[0])

    assert wish(0.1) > 0 > wish(0.9)
