"""Calls made for a while, one way or the other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.bench.asking import AHEAD, Asking, asked
from agent.bench.figures import Slice
from agent.bench.raw import called, faster
from agent.inference.lanes import CALM_SECONDS


class Calls:
    """How many there were, and how many at once."""

    def __init__(self) -> None:
        self.made, self.running, self.most = 0, 0, 0
        self.numbers: set[int] = set()

    async def ask(self, number: int) -> None:
        self.made += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.numbers.add(number)
        await asyncio.sleep(0)
        self.running -= 1


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


async def test_as_many_calls_are_in_flight_as_were_asked_for(stop: threading.Event) -> None:
    calls = Calls()
    taken = await asked(calls.ask, 4, 0.02, stop)
    assert (calls.most, calls.numbers) == (4, {0, 1, 2, 3})
    assert len(taken.calls) == calls.made > 4
    assert taken.seconds >= 0.02


async def test_who_stops_waits_for_the_calls_under_way_alone(stop: threading.Event) -> None:
    stop.set()
    calls = Calls()
    assert len((await asked(calls.ask, 3, 1.0, stop)).calls) == 3
    assert len(called(lambda: None, 2, 1.0, stop).calls) == 2


def test_raw_calls_run_in_as_many_threads_as_were_asked_for(stop: threading.Event) -> None:
    together = threading.Barrier(3, timeout=20)  # passed only by three at once
    stop.set()
    assert len(called(together.wait, 3, 0.0, stop).calls) == 3


def test_the_limit_is_the_faster_way_to_wait_whatever_a_single_call_took() -> None:
    spinning, resting = Slice((0.010, 0.011, 0.012), 0.033), Slice((0.008, 0.009, 0.200), 0.217)
    assert faster([spinning, resting]) is resting


async def test_a_call_alone_is_asked_once_the_engine_is_calm(stop: threading.Event) -> None:
    now, slept, calls = [100.0], list[float](), Calls()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    asking = Asking(calls.ask, 2, lambda: now[0], sleep)
    await asking.many(0.0, stop)
    assert calls.most == 2 + AHEAD
    now[0] += 0.25
    await asking.alone(0.0, stop)
    now[0] += 60
    await asking.alone(0.0, stop)
    assert slept == [pytest.approx(CALM_SECONDS - 0.25), 0.0]
    await Asking(calls.ask, 1, lambda: now[0], sleep).alone(0.0, stop)
    assert len(slept) == 2, "an engine that runs a call at a time is always calm"
