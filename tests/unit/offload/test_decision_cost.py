"""What every frame pays for being decided upon: the pieces together, in thread CPU time."""

from __future__ import annotations

import time
from statistics import median

from agent.offload import policy
from agent.offload.budget import SlidingBudget
from agent.offload.calibration import Calibration
from agent.offload.cascade import Cascade
from agent.offload.link import Link
from agent.offload.prices import Prices, sent_up
from agent.offload.profile import PRIOR
from agent.offload.terms import Terms
from agent.types import Box
from protos.ids import CameraName

MOST_MICROSECONDS = 100.0  # a frame; a quiet core takes about a quarter of it
TERMS = Terms(uplink_bits_per_second=1.5e6, money_per_day=1.0, watts=5.0, grams_per_hour=2.0, values={"boat": 2.0})
SEEN = tuple(Box(0.1, 0.1, 0.2, 0.2, score / 10, "boat") for score in range(3, 9))


def test_all_pieces_together_take_less_than_a_tenth_of_a_millisecond_of_a_frame() -> None:
    """Each frame as if it were priced thrice, sent up and learned from, which few are."""
    budget, link = SlidingBudget(1e9), Link()
    prices = Prices(TERMS, budget)
    calibration, cascade = Calibration(PRIOR.confidence), Cascade()
    taken = []
    for number in range(3000):
        now = 1000.0 + number / 160
        began = time.thread_time_ns()
        prices.elapse(now)
        scores = [
            TERMS.worth(CameraName("quay"), ("boat",)) * policy.chance(0.2, link.need(nbytes, now))
            - prices.price(sent_up(nbytes, 0.02, TERMS))
            for nbytes in (9_000, 18_000, 28_000)
        ]
        confidence = calibration.confidence(SEEN)
        gain = cascade.gain(confidence, PRIOR.cloud)
        booking = budget.reserve(8 * 18_000, now)
        assert booking is not None
        budget.correct(booking, 8 * 17_000, now)
        link.sent(number, 17_000, now)
        prices.spent(sent_up(17_000, 0.02, TERMS), now)
        link.answered(number, now + 0.005, 0.002)
        budget.ended(booking, now + 0.005)
        cascade.learn(confidence, agreed=number % 3 > 0)
        calibration.learn(SEEN, right=number % 3 > 0)
        taken.append(time.thread_time_ns() - began)
        assert len(scores) == 3
        assert gain >= 0.0
    assert median(taken) / 1000 < MOST_MICROSECONDS
