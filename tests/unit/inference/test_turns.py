"""Requests take turns by priority, then in order of arrival, as many at once as the worker can use."""

from __future__ import annotations

import asyncio

import pytest

from agent.inference.turns import LAST, MOST, USUAL, Turns, limit
from tests.sim.clock import settle


@pytest.mark.parametrize(
    ("width", "in_hand", "seconds", "allowed"),
    [
        (1, 1, 0.0, 1),
        (2, 1, 0.03, 3),
        (1, 1, 0.001, 4),
        (2, 1, 0.0025, 3),
        (1, 0, 0.00001, MOST),
        (1, 0, 0.3, 1),
        (1, 1, 0.3, 2),
    ],
)
def test_short_requests_may_be_many_and_of_long_ones_one_is_in_hand(
    width: int, in_hand: int, seconds: float, allowed: int
) -> None:
    assert limit(width, in_hand, seconds) == allowed


async def test_turns_are_given_in_order_of_arrival() -> None:
    turns, order = Turns(2), list[int]()

    async def ask(number: int) -> None:
        await turns.take()
        order.append(number)

    tasks = [asyncio.ensure_future(ask(number)) for number in range(5)]
    await settle()
    assert order == [0, 1]
    turns.give()
    await settle()
    assert order == [0, 1, 2]
    turns.limit = 4
    turns.give()
    await settle()
    assert order == [0, 1, 2, 3, 4]
    await asyncio.gather(*tasks)


async def test_who_leaves_the_queue_costs_nobody_a_turn() -> None:
    turns = Turns(1)
    await turns.take()
    leaving, next_one = asyncio.ensure_future(turns.take()), asyncio.ensure_future(turns.take())
    await settle()
    leaving.cancel()
    await settle()
    turns.give()
    await asyncio.wait_for(next_one, 1)


async def test_who_leaves_as_his_turn_comes_passes_it_on() -> None:
    turns = Turns(1)
    await turns.take()
    leaving, next_one = asyncio.ensure_future(turns.take()), asyncio.ensure_future(turns.take())
    await settle()
    turns.give()
    leaving.cancel()
    await asyncio.wait_for(next_one, 1)
    assert leaving.cancelled()


async def test_turns_go_to_the_lowest_priority_and_of_one_to_who_came_first() -> None:
    turns, order = Turns(), list[str]()

    async def ask(name: str, priority: int) -> None:
        await turns.take(priority)
        order.append(name)

    await turns.take()
    asked = {"closing": LAST, "usual": USUAL, "late": 200, "urgent": 1, "usual too": USUAL, "urgent too": 1}
    tasks = [asyncio.ensure_future(ask(name, priority)) for name, priority in asked.items()]
    await settle()
    for _ in asked:
        turns.give()
        await settle()
    assert order == ["urgent", "urgent too", "usual", "usual too", "late", "closing"]
    await asyncio.gather(*tasks)


async def test_who_comes_while_others_wait_waits_behind_those_of_his_priority() -> None:
    turns = Turns(2)
    await turns.take(USUAL)
    await turns.take(USUAL)
    waiting = asyncio.ensure_future(turns.take(USUAL))
    await settle()
    turns.limit = 3
    late = asyncio.ensure_future(turns.take(USUAL))
    await settle()
    assert (waiting.done(), late.done()) == (False, False)  # the limit holds from the next turn on
    turns.give()
    await settle()
    assert (waiting.done(), late.done()) == (True, True)


async def test_who_leaves_the_queue_is_forgotten_and_costs_nobody_a_turn() -> None:
    turns = Turns()
    await turns.take()
    leaving = [asyncio.ensure_future(turns.take(1)) for _ in range(100)]
    next_one = asyncio.ensure_future(turns.take(2))
    await settle()
    for one in leaving:
        one.cancel()
    await settle()
    assert len(turns._waiting) == 1
    turns.give()
    await asyncio.wait_for(next_one, 1)
