"""SyncLoop: level-triggered, patient, and never the reason why something stops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from agent.adapters.state_memory import MemoryState
from agent.errors import DiskFull
from agent.link.loop import KEY, Handlers, SyncLoop
from agent.link.schedule import Schedule
from protos import fleet_pb2, telemetry_pb2
from protos.errors import Rejected, Retryable
from tests.sim.clock import FakeClock
from tests.sim.link import SimLink


class Node:
    """The parts of an agent around its SyncLoop."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.link = SimLink(clock)
        self.state = MemoryState()
        self.desired: list[fleet_pb2.DesiredState] = []
        self.grants: list[str] = []
        self.watches: list[float] = []
        self.task: asyncio.Task[None] | None = None
        self.loop = self.boot()

    def boot(self) -> SyncLoop:
        handlers = Handlers(lambda grant: self.grants.append(grant.bearer), self.desired.append, self.watches.append)
        self.loop = SyncLoop(
            self.link,
            self.state,
            self.clock,
            lambda: fleet_pb2.SyncRequest(boot_id="boot"),
            handlers,
            Schedule(rng=random.Random(7)),
        )
        return self.loop

    async def run(self, seconds: float = 0.0) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self.loop.run())
        await self.clock.advance(seconds)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
            self.task = None

    def hint(self, generation: int, watch_until: float = 0.0) -> None:
        message = telemetry_pb2.DesiredHint(generation=generation, watch_until_unix_ms=int(watch_until * 1000))
        self.loop.on_hint(message.SerializeToString())


@pytest.fixture
async def node(clock: FakeClock) -> AsyncIterator[Node]:
    node = Node(clock)
    yield node
    await node.stop()


async def test_it_says_what_is_and_does_what_should_be(node: Node) -> None:
    await node.run()
    assert node.desired[0].generation == 1
    assert (node.link.reports[0].observed_generation, node.link.reports[0].boot_id) == (0, "boot")
    assert node.loop.connected
    await node.run(20)
    assert node.link.reports[1].observed_generation == 1


async def test_the_grant_comes_before_what_needs_it(clock: FakeClock) -> None:
    order: list[str] = []
    handlers = Handlers(lambda *_: order.append("grant"), lambda _: order.append("desired"))
    loop = SyncLoop(SimLink(clock), MemoryState(), clock, fleet_pb2.SyncRequest, handlers)
    task = asyncio.create_task(loop.run())
    await clock.advance(0)
    task.cancel()
    await asyncio.wait([task])
    assert order == ["grant", "desired"]


async def test_what_came_is_kept_as_the_very_bytes(node: Node) -> None:
    node.link.answer = node.link.desired.SerializeToString() + b"\xf8\x06\x01"  # a field of a newer control plane
    await node.run()
    assert node.state.get(KEY) == node.link.answer


async def test_the_grant_is_never_stored(node: Node) -> None:
    await node.run()
    assert node.grants == ["bearer-1"]
    assert all(b"bearer" not in (node.state.get(key) or b"") for key in node.state.keys(""))


async def test_at_the_start_the_box_acts_on_what_it_kept_before_any_network(node: Node) -> None:
    await node.run()
    await node.stop()
    node.desired.clear()
    loop = node.boot()
    node.link.failure = Retryable("no network")
    assert loop.restore()
    assert [state.generation for state in node.desired] == [1]
    assert len(node.link.times) == 1


async def test_a_box_that_never_heard_anything_has_nothing_to_act_on(node: Node) -> None:
    assert not node.loop.restore()
    assert node.desired == []


async def test_unreadable_kept_state_waits_for_the_control_plane(node: Node) -> None:
    node.state.put(KEY, b"\xff\xff\xff garbage")
    assert not node.loop.restore()
    await node.run()
    assert node.desired[0].generation == 1


async def test_without_a_broker_a_change_arrives_within_the_interval(node: Node) -> None:
    await node.run()
    node.link.desired.generation = 2
    await node.run(15 * 1.2)
    assert node.desired[-1].generation == 2


async def test_a_hint_makes_it_immediate(node: Node) -> None:
    await node.run()
    node.link.desired.generation = 2
    node.hint(2)
    await node.run()
    assert node.desired[-1].generation == 2


async def test_a_retained_hint_that_is_known_already_changes_nothing(node: Node) -> None:
    await node.run()
    for _ in range(10):
        node.hint(1)
        await node.run()
    assert len(node.link.times) == 1


async def test_a_hint_of_a_restored_control_plane_is_heard_too(node: Node) -> None:
    node.link.desired.generation = 9
    await node.run()
    node.link.desired.generation = 3
    node.hint(3)
    await node.run()
    assert node.desired[-1].generation == 3


async def test_garbage_on_the_hint_topic_is_ignored(node: Node) -> None:
    await node.run()
    node.loop.on_hint(b"\xff\xff\xff")
    await node.run()
    assert len(node.link.times) == 1


async def test_somebody_looking_is_known_without_a_sync(node: Node) -> None:
    await node.run()
    node.hint(1, node.clock.unix() + 30)
    assert node.watches[-1] == pytest.approx(node.clock.unix() + 30, abs=0.01)
    await node.run()
    assert len(node.link.times) == 1


async def test_a_wrong_box_clock_does_not_hide_somebody_looking(node: Node) -> None:
    node.link.offset = 86_400.0  # the box is a day behind
    node.link.desired.watch_until_unix_ms = int((node.clock.unix() + 86_400 + 30) * 1000)
    await node.run()
    assert node.watches[-1] == pytest.approx(node.clock.unix() + 30, abs=0.01)


@pytest.mark.parametrize(("offset", "code"), [(86_400.0, "clock-behind"), (-86_400.0, "clock-ahead")])
async def test_a_clock_a_day_wrong_is_told_and_stops_nothing(node: Node, offset: float, code: str) -> None:
    node.link.offset = offset
    await node.run()
    assert [problem.code for problem in node.loop.problems()] == [code]
    assert "24 hours" in node.loop.problems()[0].message
    assert node.desired


async def test_the_boxs_own_clock_is_in_the_report(node: Node) -> None:
    await node.run()
    assert node.link.reports[0].clock_unix_ms == int(node.clock.unix() * 1000)


async def test_a_change_on_the_box_is_told_soon_and_once(node: Node) -> None:
    await node.run()
    for _ in range(20):
        node.loop.changed()
    await node.run(1)
    assert len(node.link.times) == 2


async def test_away_it_asks_more_and_more_rarely_and_everything_goes_on(node: Node) -> None:
    await node.run()
    node.link.failure = Retryable("no network")
    await node.run(3600)
    assert 200 < len(node.link.times) < 320
    assert [problem.code for problem in node.loop.problems()] == ["control-plane-away"]
    assert not node.loop.connected
    assert {state.generation for state in node.desired} == {1}
    node.link.failure = None
    await node.run(20)
    assert node.loop.connected
    assert node.loop.problems() == []


async def test_reconnecting_writes_nothing_anew(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.run()
    written: list[str] = []
    monkeypatch.setattr(node.state, "put", lambda key, _: written.append(key))
    node.link.failure = Retryable("no network")
    await node.run(60)
    node.link.failure = None
    await node.run(60)
    assert written == []


async def test_that_somebody_looks_is_not_worth_a_write(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.run()
    written: list[str] = []
    put = node.state.put

    def counted(key: str, value: bytes) -> None:
        written.append(key)
        put(key, value)

    monkeypatch.setattr(node.state, "put", counted)
    for moment in (1, 2, 0):
        node.link.desired.watch_until_unix_ms = moment
        await node.run(20)
    assert written == []
    node.link.desired.generation = 2
    await node.run(20)
    assert written == [KEY]
    assert node.state.get(KEY) == node.link.desired.SerializeToString()


async def test_a_deleted_box_keeps_running_and_says_why(node: Node) -> None:
    await node.run()
    node.link.failure = Rejected("the control plane does not admit this box: it was deleted")
    await node.run(600)
    assert [problem.code for problem in node.loop.problems()] == ["sync-refused"]
    assert len(node.link.times) < 15
    node.link.failure = None
    await node.run(120)
    assert node.loop.connected


async def test_an_unreadable_answer_leaves_what_was_wanted(node: Node) -> None:
    await node.run()
    kept = node.state.get(KEY)
    node.link.answer = b"\xff\xff\xff"
    await node.run(20)
    assert node.state.get(KEY) == kept
    assert node.loop.desired.generation == 1
    assert [problem.code for problem in node.loop.problems()] == ["sync-refused"]


async def test_a_full_disk_does_not_keep_the_box_from_doing_what_is_wanted(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(key: str, value: bytes) -> None:
        raise DiskFull("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(node.state, "put", full)
        await node.run()
        assert node.desired[0].generation == 1
        assert [problem.code for problem in node.loop.problems()] == ["desired-not-kept"]
    await node.run(20)
    assert node.state.get(KEY) is not None
    assert node.loop.problems() == []
