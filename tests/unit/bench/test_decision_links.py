"""The uplink of the decision bench: bits pass at the rate that the link has while they do."""

from __future__ import annotations

import numpy as np
import pytest

from agent.simulation.links import PACKET_BITS, Sending, Trace, drawn
from agent.simulation.scenario import Step, Uplink

MEGABIT = 1e6


def test_a_picture_takes_its_bits_over_the_rate() -> None:
    there, passed = Sending(Trace((Step(0.0, MEGABIT),))).send(2e5, 1.0, 9.0, 0)
    assert there == pytest.approx(1.2)
    assert passed == 2e5


def test_pictures_pass_one_after_another() -> None:
    link = Sending(Trace((Step(0.0, MEGABIT),)))
    link.send(2e5, 1.0, 9.0, 0)
    assert link.send(2e5, 1.1, 9.0, 0)[0] == pytest.approx(1.4)


def test_a_change_of_rate_counts_from_its_moment() -> None:
    link = Sending(Trace((Step(0.0, MEGABIT), Step(1.0, 2 * MEGABIT))))
    assert link.send(3e6, 0.0, 9.0, 0)[0] == pytest.approx(2.0)


def test_what_has_not_passed_when_nobody_listens_any_more_never_does_and_leaves_the_link() -> None:
    link = Sending(Trace((Step(0.0, 0.0), Step(5.0, MEGABIT))))
    assert link.send(2e5, 0.0, 0.5, 0) == (None, 0.0)
    assert link.send(2e5, 5.0, 9.0, 0)[0] == pytest.approx(5.2)


def test_what_waits_for_the_link_until_nobody_listens_takes_none_of_it() -> None:
    link = Sending(Trace((Step(0.0, MEGABIT),)))
    link.send(MEGABIT, 0.0, 9.0, 0)
    assert link.send(2e5, 0.1, 0.9, 0) == (None, 0.0)
    assert link.free_at == pytest.approx(1.0)


def test_a_lost_packet_is_sent_again() -> None:
    link = Sending(Trace((Step(0.0, MEGABIT),)))
    assert link.send(2e5, 0.0, 9.0, 2)[0] == pytest.approx((2e5 + 2 * PACKET_BITS) / MEGABIT)


def test_an_outage_stops_everything_and_then_the_link_is_what_it_was() -> None:
    trace = drawn(Uplink(steps=(Step(0.0, MEGABIT), Step(15.0, 3 * MEGABIT)), outage=(10.0, 20.0)), 30.0, _rng())
    assert trace.capacity(10.0, 20.0) == 0.0
    assert trace.capacity(9.0, 10.0) == pytest.approx(MEGABIT)
    assert trace.capacity(20.0, 21.0) == pytest.approx(3 * MEGABIT)


def test_a_random_walk_goes_to_a_neighbour_each_time() -> None:
    uplink = Uplink()
    rates = [step.rate for step in drawn(uplink, 300.0, _rng()).steps]
    places = [uplink.rates.index(rate) for rate in rates]
    assert set(np.abs(np.diff(places)).tolist()) == {1}
    assert set(rates) == set(uplink.rates)


def _rng() -> np.random.Generator:
    return np.random.default_rng(4)
