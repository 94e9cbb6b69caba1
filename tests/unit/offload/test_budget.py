"""What may go up: no minute on the wire carries more than the budget and a twentieth, whatever was booked when."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.offload.budget import BEYOND, WINDOW, Booking, SlidingBudget

RATE = 1000.0  # bits a second
MOST = RATE * WINDOW * BEYOND
NOW = 1000.0


@dataclass
class Carried:
    """A picture as the wire saw it: its bits may have gone at any moment in between."""

    booking: Booking
    began: float
    ended: float | None = None
    bits: int = 0


class Wire:
    """Pictures of random sizes, booked as one size, corrected to another, ended or withdrawn in any order."""

    def __init__(self, budget: SlidingBudget) -> None:
        self.budget, self.now = budget, NOW
        self.booked: list[Carried] = []
        self.under_way: list[Carried] = []
        self.over: list[Carried] = []

    def do(self, what: str, amount: float) -> None:
        match what:
            case "wait":
                self.now += amount / 1000
            case "book":
                booking = self.budget.reserve(amount, self.now)
                self.booked += [Carried(booking, self.now)] if booking else []
            case "correct" if self.booked:
                picture = self.booked.pop(int(amount) % len(self.booked))
                if self.budget.correct(picture.booking, amount, self.now):
                    picture.began, picture.bits = self.now, picture.booking.bits
                    self.under_way.append(picture)
            case "withdraw" if self.booked:
                self.budget.withdrawn(self.booked.pop(int(amount) % len(self.booked)).booking)
            case "end" if self.under_way:
                picture = self.under_way.pop(int(amount) % len(self.under_way))
                picture.ended = self.now
                self.budget.ended(picture.booking, self.now)
                self.over.append(picture)

    def fullest(self) -> int:
        """Bits that the fullest minute may have carried: one begins as some picture ends."""
        carried = [*self.over, *self.under_way]
        ends = [picture.ended or self.now for picture in carried]
        return max((self._within(start, carried) for start in ends), default=0)

    def _within(self, start: float, carried: list[Carried]) -> int:
        return sum(
            picture.bits
            for picture in carried
            if picture.began <= start + WINDOW and (picture.ended is None or picture.ended >= start)
        )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "book", "correct", "correct", "end", "end", "withdraw", "wait"]), st.floats(1, 4e4)
    ),
    max_size=120,
)


@given(STEPS)
@settings(deadline=None, max_examples=150)
def test_no_minute_carries_more_than_the_budget_and_a_twentieth(steps: list[tuple[str, float]]) -> None:
    wire = Wire(SlidingBudget(RATE))
    for what, amount in steps:
        wire.do(what, amount)
    assert wire.fullest() <= MOST


def test_who_sends_all_that_is_allowed_keeps_every_minute_and_uses_the_budget() -> None:
    rng, wire = random.Random(3), Wire(SlidingBudget(RATE))
    for _ in range(8_000):
        for what in ("book", "correct", "end"):
            wire.do(what, rng.uniform(100, 400))
        wire.do("wait", rng.uniform(10, 100))
    assert wire.fullest() <= MOST
    carried = sum(picture.bits for picture in wire.over)
    assert carried >= 0.98 * BEYOND * RATE * (wire.now - NOW)


def test_what_took_a_minute_to_go_up_is_held_until_a_minute_after_that() -> None:
    budget = SlidingBudget(RATE)
    slow = budget.reserve(MOST, NOW)
    assert slow is not None
    assert not budget.allows(1, NOW + 90)
    budget.ended(slow, NOW + 90)
    assert not budget.allows(1, NOW + 149.9)
    assert budget.left(NOW + 150.2) == MOST


def test_a_picture_that_turns_out_too_large_is_not_sent_and_leaves_its_room_to_others() -> None:
    budget = SlidingBudget(RATE)
    booking = budget.reserve(MOST - 10, NOW)
    assert booking is not None
    assert not budget.correct(booking, MOST + 1, NOW)
    assert budget.left(NOW) == MOST


def test_a_picture_that_turns_out_smaller_gives_back_the_rest() -> None:
    budget = SlidingBudget(RATE)
    booking = budget.reserve(MOST, NOW)
    assert booking is not None
    assert budget.correct(booking, 100.5, NOW)
    assert budget.left(NOW) == MOST - 101


def test_without_a_budget_nothing_goes_up() -> None:
    assert SlidingBudget(0.0).reserve(1, NOW) is None


def test_of_a_minute_no_more_than_its_tenths_are_kept() -> None:
    budget = SlidingBudget(1e9)
    for picture in range(20_000):
        booking = budget.reserve(8, NOW + picture / 500)
        assert booking is not None
        budget.ended(booking, NOW + picture / 500)
    assert len(budget._past) <= 401
