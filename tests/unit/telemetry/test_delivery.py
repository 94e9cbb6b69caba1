"""Sender and outbox over a line that repeats, shuffles and loses: the control plane ends as after one ordered pass.

A state machine: records come, time passes, the line and the box break, and at the end everything heals. Then each
accepted record is stored once, or declared dropped once. A failing run is shrunk by hypothesis and printed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agent.adapters.outbox_memory import MemoryOutbox, MemoryRows
from agent.adapters.telemetry_memory import MemoryHub, MemoryLink
from agent.telemetry import records
from agent.telemetry.books import Bounds
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Waiting
from agent.telemetry.sender import Sender
from protos import telemetry_pb2 as wire
from protos.topics import Channel, topic
from tests.sim.clock import FakeClock, settle
from tests.sim.telemetry import NODE, Oracle, draft

TIGHT = Bounds(30_000)  # bytes: about a hundred records
ACK_LOSS = 0.3
MOST_COPIES = 5
HEALING = 400  # rounds of a few seconds
CLASSES = st.sampled_from([each for each in RecordClass if each is not RecordClass.GAP])


class Ledger(MemoryRows):
    """What was ever kept, by epoch and number; a Gap as it was when it was sent."""

    def __init__(self, name: Callable[[int], str]) -> None:
        super().__init__()
        self.kept: dict[tuple[str, int], bytes] = {}
        self._name = name

    def insert(self, epoch_id: int, first: int, at_ms: int, bodies: Sequence[bytes]) -> None:
        super().insert(epoch_id, first, at_ms, bodies)
        self.kept.update({(self._name(epoch_id), first + index): body for index, body in enumerate(bodies)})


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock, self.hub, self.oracle = FakeClock(), MemoryHub(), Oracle()
        self.outbox = MemoryOutbox(TIGHT, unix=self.clock.unix)
        self.ledger = self.outbox._rows = Ledger(lambda epoch_id: self.outbox._books.epochs[epoch_id].name)
        self.air: list[bytes] = []  # batches the broker took
        self.hub.subscribe(topic(NODE, Channel.TELEMETRY), self.air.append)
        self.number = 0

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.run(self._begin())

    async def _begin(self) -> None:
        self.link = MemoryLink(self.hub, NODE)
        self.sender = Sender(self.outbox, self.clock, self.rng.random)
        self.sender.attach(self.link)
        self.link.start()
        self.task = asyncio.create_task(self.sender.run())
        await settle()

    def run(self, what: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(what)

    # ---- what happens ----

    @rule(record_class=CLASSES, count=st.integers(1, 60))
    def put(self, record_class: RecordClass, count: int) -> None:
        self.run(self._put(record_class, count))

    async def _put(self, record_class: RecordClass, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.outbox.put(draft(record_class, self.number))
        await settle()

    @rule(seconds=st.floats(0.1, 90))
    def time_passes(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))

    @precondition(lambda self: self.air)
    @rule()
    def batches_arrive(self) -> None:
        """Each one to five times, in any order; of the acknowledgements some are lost."""
        self.run(self._deliver(ACK_LOSS))

    @precondition(lambda self: self.air)
    @rule()
    def the_broker_forgets(self) -> None:
        self.air.clear()

    @rule()
    def the_way_breaks_and_is_mended(self) -> None:
        self.run(self._blink())

    async def _blink(self) -> None:
        self.hub.cut()
        await settle()
        self.hub.restore()
        await settle()

    @precondition(lambda self: self.hub.up)
    @rule()
    def the_way_breaks(self) -> None:
        self.run(self._cut())

    async def _cut(self) -> None:
        self.hub.cut()
        await settle()

    @precondition(lambda self: not self.hub.up)
    @rule()
    def the_way_is_mended(self) -> None:
        self.run(self._mend())

    async def _mend(self) -> None:
        self.hub.restore()
        await settle()

    @rule()
    def the_box_starts_again(self) -> None:
        self.run(self._restart())

    async def _restart(self) -> None:
        await self._end()
        self.outbox.restart()
        await self._begin()

    @rule()
    def the_disk_fails(self) -> None:
        self.outbox.trouble = "the disk is full"

    @precondition(lambda self: self.outbox.trouble)
    @rule()
    def the_disk_works(self) -> None:
        self.outbox.trouble = ""

    # ---- the other side ----

    async def _deliver(self, ack_loss: float) -> None:
        copies = [payload for payload in self.air for _ in range(self.rng.randint(1, MOST_COPIES))]
        self.air.clear()
        self.rng.shuffle(copies)
        acks = [self._ack(self.oracle.take(payload)) for payload in copies]
        self.rng.shuffle(acks)
        for ack in acks:
            if self.rng.random() >= ack_loss:
                self.hub.publish(topic(NODE, Channel.ACK), ack.SerializeToString())
        await settle()

    def _ack(self, ack: wire.TelemetryAck) -> wire.TelemetryAck:
        """Ranges, a watermark, or both."""
        known = self.oracle.numbers(ack.epoch)
        watermark = next(number for number in range(len(known) + 2) if number + 1 not in known)
        style = self.rng.choice(["ranges", "watermark", "both"])
        stored = [each for each in ack.stored if each.first > watermark]
        if style == "ranges" or (style == "watermark" and stored):
            return ack
        return wire.TelemetryAck(epoch=ack.epoch, up_to=watermark, stored=stored)

    # ---- the end ----

    def teardown(self) -> None:
        try:
            if hasattr(self, "task"):
                self.run(self._heal())
                self._check()
        finally:
            if hasattr(self, "task"):
                self.run(self._end())
            self.loop.close()

    async def _heal(self) -> None:
        self.outbox.trouble = ""
        await self._mend()
        for _ in range(HEALING):
            await self.outbox.settle()
            await self._deliver(0.0)
            await self.clock.advance(5.0)
            if not (self.outbox.summary().waiting_rows or self.air):
                return
        raise AssertionError(f"still waiting: {self.outbox.summary()}")

    async def _end(self) -> None:
        await self.link.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.sender.attach(None)

    def _check(self) -> None:
        gaps = {record.gap.epoch for record in self.oracle.bodies("gap")}
        found = {name: self.oracle.numbers(name) for name in gaps | {name for name, _ in self.ledger.kept}}
        for name, numbers in found.items():
            assert numbers == set(range(1, len(numbers) + 1)), "each number is stored or declared, once"
            assert {seq for each, seq in self.ledger.kept if each == name} <= numbers
        assert self.outbox.summary().accepted == sum(map(len, found.values()))
        assert self.oracle.stored == self._ordered_pass().stored

    def _ordered_pass(self) -> Oracle:
        """A control plane that got everything that was not dropped once, in order."""
        plane = Oracle()
        for (epoch, seq), body in sorted(self.ledger.kept.items()):
            if (epoch, seq) in self.oracle.stored:
                plane.take(records.batch(epoch, [Waiting(RecordClass.DEBUG, seq, body)]))
        return plane


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
