"""Beats: what a box may be silent on the strength of, and what it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.adapters.telemetry_memory import MemoryHub, MemoryLink
from agent.link.beats import AGAIN_SECONDS, SPARE_SECONDS, Beats
from protos.ids import NodeId
from protos.topics import Channel, topic
from tests.sim.clock import FakeClock

NODE = NodeId("quay-1")
EVERY = 190


class Box:
    """Beats over a broker at which a control plane may listen."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.hub, self.beats = clock, MemoryHub(), Beats(clock)
        self.heard: list[float] = []
        self.link = MemoryLink(self.hub, NODE, b"birth", b"will", b"beat")

    def listen(self) -> None:
        def hear(payload: bytes) -> None:
            if payload == b"beat":
                self.heard.append(self.clock.monotonic())

        self.hub.subscribe(topic(NODE, Channel.PRESENCE), hear)

    def connect(self, every: int = EVERY) -> None:
        self.beats.attach(self.link, every)
        self.link.start()


@pytest.fixture
async def box(clock: FakeClock) -> AsyncIterator[Box]:
    made = Box(clock)
    task = asyncio.create_task(made.beats.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_a_box_beats_as_often_as_it_is_told_and_may_be_silent_meanwhile(box: Box) -> None:
    box.listen()
    box.connect()
    await box.clock.advance(3 * EVERY)
    assert [round(at - box.heard[0]) for at in box.heard] == [0, EVERY, 2 * EVERY, 3 * EVERY]
    assert box.beats.silent_seconds == EVERY + SPARE_SECONDS


async def test_where_nobody_listens_a_box_has_to_call_in_and_tries_again_soon(box: Box) -> None:
    box.connect()
    await box.clock.advance(1)
    assert box.beats.silent_seconds == 0
    box.listen()
    await box.clock.advance(AGAIN_SECONDS)
    assert box.beats.silent_seconds > 0


async def test_a_control_plane_that_left_the_broker_is_noticed_at_the_next_beat(box: Box) -> None:
    box.listen()
    box.connect()
    await box.clock.advance(1)
    box.hub.deny = "No matching subscribers"
    await box.clock.advance(EVERY)
    assert box.beats.silent_seconds == 0


async def test_a_broken_connection_ends_the_silence_at_once(box: Box) -> None:
    box.listen()
    box.connect()
    await box.clock.advance(1)
    box.hub.cut()
    assert box.beats.silent_seconds == 0
    box.hub.restore()
    await box.clock.advance(1)
    assert box.beats.silent_seconds > 0


async def test_a_link_that_is_taken_away_ends_the_silence_too(box: Box) -> None:
    box.listen()
    box.connect()
    await box.clock.advance(1)
    box.beats.attach(None, 0)
    assert box.beats.silent_seconds == 0
    await box.clock.advance(EVERY)
    assert (box.beats.silent_seconds, len(box.heard)) == (0, 1)


async def test_a_control_plane_that_asks_for_no_beats_gets_none(box: Box) -> None:
    box.listen()
    box.connect(every=0)
    await box.clock.advance(3_600)
    assert (box.beats.silent_seconds, box.heard) == (0, [])
