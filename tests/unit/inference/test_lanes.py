"""Cores of an engine worker: many calls at once, or one call on all of them."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from agent.inference.lanes import CALM_SECONDS, MOST_TWICE, Lanes, Plan, Rank, Sessions, planned
from agent.inference.session import Session
from tests.sim.clock import FakeClock
from tests.sim.models import identity

MODEL = identity("FP32").spec.model


@pytest.mark.parametrize(
    ("cores", "provider", "nbytes", "seconds", "plan"),
    [
        (4, "cpu", 20 << 20, 0.03, Plan(4, alone=True)),
        (4, "cpu", MOST_TWICE + 1, 0.03, Plan(4, alone=False)),
        (1, "cpu", 20 << 20, 0.03, Plan(1)),
        (4, "openvino-bf16", 20 << 20, 0.03, Plan(4, alone=True)),
        (4, "cuda", 20 << 20, 0.03, Plan(1)),
        (4, "cpu", 1000, 0.00001, Plan(1, short=True)),
        (4, "cpu", 1000, 0.0, Plan(4, alone=True)),
    ],
)
def test_a_model_gets_what_its_cost_and_the_box_are_worth(
    cores: int, provider: str, nbytes: int, seconds: float, plan: Plan
) -> None:
    assert planned(cores, provider, nbytes, seconds) == plan


@pytest.mark.parametrize(("plan", "requests"), [(Plan(1), 1), (Plan(2), 2), (Plan(8), 2), (Plan(1, short=True), 0)])
def test_calls_that_end_close_together_both_find_the_next_and_no_more_are_taken_out_of_their_order(
    plan: Plan, requests: int
) -> None:
    assert plan.in_hand == requests


def test_a_call_alone_has_all_cores_and_calls_that_meet_have_one_each_until_it_is_calm_again() -> None:
    clock = FakeClock()
    sessions = Sessions(Session(MODEL), clock.monotonic)
    sessions.alone = Session(MODEL)
    with sessions.taken() as first, sessions.taken() as second:
        assert (first, second) == (sessions.alone, sessions.many)
    with sessions.taken() as soon_after:
        assert soon_after is sessions.many
    clock.tick(CALM_SECONDS + 0.1)
    with sessions.taken() as later:
        assert later is sessions.alone


def test_a_call_that_fails_is_over_too() -> None:
    clock = FakeClock()
    sessions = Sessions(Session(MODEL), clock.monotonic)
    sessions.alone = Session(MODEL)
    with pytest.raises(ValueError, match="x"), sessions.taken():
        raise ValueError("x")
    with sessions.taken() as session:
        assert session is sessions.alone


class Told:
    """Messages are (place, name). Reading gives what is there, and then the end."""

    def __init__(self, *messages: tuple[Rank, str]) -> None:
        self.messages = deque(messages)
        self.done: list[str] = []
        self.lanes = Lanes(self.receive, lambda message: message[0], lambda message: self.done.append(message[1]))

    def receive(self, wait: bool) -> tuple[Rank, str] | None:
        if self.messages:
            return self.messages.popleft()
        if wait:
            raise EOFError
        return None


def frame(name: str) -> tuple[Rank, str]:
    return Rank.FIRST, name


def request(name: str) -> tuple[Rank, str]:
    return Rank.NEXT, name


def test_frames_go_before_the_requests_that_have_not_begun_and_each_in_order_of_arrival() -> None:
    told = Told(request("a"), request("b"), frame("1"), request("c"), frame("2"))
    told.lanes.run(1)
    assert told.done == ["1", "2", "a", "b", "c"]


def test_nothing_passes_a_message_that_stands_apart() -> None:
    told = Told(request("a"), frame("1"), (Rank.APART, "detach"), frame("2"), request("b"))
    told.lanes.run(1)
    assert told.done == ["1", "a", "detach", "2", "b"]


def test_a_message_that_stands_apart_waits_until_all_that_runs_has_ended() -> None:
    begun, reached = threading.Event(), threading.Event()
    order, messages = list[str](), deque([request("slow"), (Rank.APART, "detach")])

    def receive(wait: bool) -> tuple[Rank, str] | None:
        if not wait:
            return None
        if not messages:
            raise EOFError
        if len(messages) == 1:
            begun.wait(5)
            threading.Timer(0.05, reached.set).start()  # it now waits for what runs, or does not
        return messages.popleft()

    def act(message: tuple[Rank, str]) -> None:
        if message[1] == "slow":
            begun.set()
            reached.wait(5)
        order.append(message[1])

    lanes: Lanes[tuple[Rank, str]] = Lanes(receive, lambda message: message[0], act)
    lanes.run(2)
    assert order == ["slow", "detach"]


def test_what_changes_nothing_that_runs_is_done_as_it_is_read() -> None:
    told = Told(request("a"), (Rank.AT_ONCE, "chunk"), request("b"))
    told.lanes.run(1)
    assert told.done == ["chunk", "a", "b"]


def test_so_many_run_at_once_as_there_are_lanes() -> None:
    done, meeting = list[str](), threading.Barrier(3, timeout=5)
    there, all_done = deque(request(str(number)) for number in range(6)), threading.Event()

    def receive(wait: bool) -> tuple[Rank, str] | None:
        if there:
            return there.popleft()
        if not wait:
            return None
        all_done.wait(5)
        raise EOFError

    def act(message: tuple[Rank, str]) -> None:
        meeting.wait()  # passes only with three at once
        done.append(message[1])
        if len(done) == 6:
            all_done.set()

    lanes: Lanes[tuple[Rank, str]] = Lanes(receive, lambda message: message[0], act)
    lanes.run(3)
    assert sorted(done) == list("012345")


def test_a_request_that_has_not_begun_can_be_withdrawn_and_a_frame_cannot() -> None:
    told = Told(request("a"), frame("1"))
    told.lanes._read(wait=False)
    told.lanes._read(wait=False)
    assert told.lanes.withdraw(lambda message: message[1] == "1") is None
    assert told.lanes.withdraw(lambda message: message[1] == "a") == request("a")
    assert told.lanes.withdraw(lambda message: message[1] == "a") is None
    told.lanes.run(1)
    assert told.done == ["1"]
