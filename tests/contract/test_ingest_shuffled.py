"""However often messages come, in whatever order, to whichever of two ingests, and whatever acknowledgements are lost:
the state is that of one ordered pass.

Two boxes live in one database: of the one everything comes shuffled, of the other once and in order.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from controlplane import tables
from controlplane.db import Database
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from protos import telemetry_pb2 as wire
from protos.ids import NodeId
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet
from tests.sim.ingest import Plane, frame_record, told

LOST = 0.3  # of all acknowledgements
MOST_TRIES = 200
SEED = 20261128
SOAK = os.environ.get("LONGSHORE_SOAK") == "1"
CLASSES = ("detection", "metric", "alarm")
ALL = (
    tables.Detection,
    tables.OutcomeCount,
    tables.CameraHealth,
    tables.NodeStat,
    tables.Gap,
    tables.Epoch,
    tables.AgentStart,
    tables.RecordConflict,
)


def record(record_class: str, seq: int) -> wire.Record:
    if record_class == "detection":
        return frame_record(seq, seq)
    if record_class == "metric":
        return wire.Record(seq=seq, node=wire.NodeStats(at_unix_ms=seq, memory_bytes=seq))
    broken = "no/camera" if seq % 5 == 0 else "quay"  # some break a rule
    return wire.Record(seq=seq, camera=wire.CameraHealth(camera=broken, at_unix_ms=seq, state="running"))


@dataclass
class Line:
    """An epoch on the box."""

    record_class: str
    accepted: list[wire.Record] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    dropped: int = 0

    def tally(self, epoch: str) -> wire.Tally:
        return wire.Tally(
            epoch=epoch,
            record_class=self.record_class,
            accepted=len(self.accepted),
            waiting=len(self.waiting),
            dropped=self.dropped,
            oldest_unix_ms=min(self.waiting, default=0),
        )


class Box:
    """What a box keeps, and the messages it made, in order."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.lines: dict[str, Line] = {}
        self._starts = 0
        self._epochs: dict[str, str] = {}

    @property
    def start(self) -> str:
        return f"s{self._starts}"

    def restart(self) -> None:
        self._starts += 1
        self._epochs = {}

    def accept(self, record_class: str, count: int, *, sent: bool = True) -> None:
        """`sent`: at once, too."""
        epoch, line = self._line(record_class)
        first = len(line.accepted) + 1
        made = [record(record_class, seq) for seq in range(first, first + count)]
        line.accepted += made
        line.waiting |= {each.seq for each in made}
        if sent:
            self._send(epoch, made)

    def drop_oldest(self, epoch: str, count: int) -> None:
        """The oldest in a row; a message that holds them may be under way."""
        line = self.lines[epoch]
        first = min(line.waiting)
        last = first
        while last + 1 in line.waiting and last - first + 1 < count:
            last += 1
        line.waiting -= set(range(first, last + 1))
        line.dropped += last - first + 1
        gaps, holes = self._line("gap")
        hole = wire.Gap(
            record_class=line.record_class, first_seq=first, last_seq=last, dropped=last - first + 1, epoch=epoch
        )
        made = wire.Record(seq=len(holes.accepted) + 1, gap=hole)
        holes.accepted.append(made)
        holes.waiting.add(made.seq)
        self._send(gaps, [made])

    def again(self, epoch: str, count: int) -> None:
        """In another message than before."""
        line = self.lines[epoch]
        self._send(epoch, [line.accepted[seq - 1] for seq in sorted(line.waiting)[:count]])

    def hear(self, ack: wire.TelemetryAck) -> None:
        known = [(1, ack.up_to), *((each.first, each.last) for each in ack.stored)]
        line = self.lines[ack.epoch]
        line.waiting = {seq for seq in line.waiting if not any(first <= seq <= last for first, last in known)}

    def _line(self, record_class: str) -> tuple[str, Line]:
        epoch = self._epochs.setdefault(record_class, f"e{self._starts}{record_class}")
        return epoch, self.lines.setdefault(epoch, Line(record_class))

    def _send(self, epoch: str, records: list[wire.Record]) -> None:
        before = f"s{self._starts - 1}" if self._starts else ""
        tallies = [line.tally(epoch) for epoch, line in self.lines.items()]
        self.sent.append(told(*records, epoch=epoch, start=self.start, before=before, tallies=tallies))


class Shuffled(RuleBasedStateMachine):
    fleet: SimFleet
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        Shuffled.examples += 1
        self.shuffled, self.ordered = (NodeId(f"{kind}-{Shuffled.examples}") for kind in ("shuffled", "ordered"))
        for node in (self.shuffled, self.ordered):
            self.fleet.join(node)
        database, clock = self.fleet.database, self.fleet.clock
        self.planes = [
            Plane(self.fleet, IngestService(database, clock), InsightsService(database, clock)) for _ in range(2)
        ]
        self.box = Box()
        self.under_way: list[int] = []  # places of messages in box.sent
        self.chance = random.Random(SEED)

    @rule(record_class=st.sampled_from(CLASSES), count=st.integers(1, 6), copies=st.integers(0, 5))
    def accept(self, record_class: str, count: int, copies: int) -> None:
        self.box.accept(record_class, count, sent=copies > 0)
        self.under_way += [len(self.box.sent) - 1] * copies

    @precondition(lambda self: any(line.waiting for line in self.box.lines.values()))
    @rule(data=st.data(), count=st.integers(1, 4), copies=st.integers(1, 5))
    def again(self, data: st.DataObject, count: int, copies: int) -> None:
        epochs = [epoch for epoch, line in self.box.lines.items() if line.waiting]
        self.box.again(data.draw(st.sampled_from(epochs)), count)
        self.under_way += [len(self.box.sent) - 1] * copies

    @precondition(lambda self: any(line.waiting for epoch, line in self.box.lines.items() if "gap" not in epoch))
    @rule(data=st.data(), count=st.integers(1, 4), copies=st.integers(1, 5))
    def drop_oldest(self, data: st.DataObject, count: int, copies: int) -> None:
        epochs = [epoch for epoch, line in self.box.lines.items() if line.waiting and "gap" not in epoch]
        self.box.drop_oldest(data.draw(st.sampled_from(epochs)), count)
        self.under_way += [len(self.box.sent) - 1] * copies

    @rule()
    def restart(self) -> None:
        self.box.restart()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), replica=st.integers(0, 1), together=st.integers(1, 5))
    def deliver(self, data: st.DataObject, replica: int, together: int) -> None:
        places = [data.draw(st.integers(0, len(self.under_way) - 1)) for _ in range(together)]
        chosen = sorted(set(places), reverse=True)
        self._deliver([self.under_way.pop(place) for place in chosen], replica)

    def _deliver(self, messages: list[int], replica: int) -> None:
        plane = self.planes[replica]
        before = len(plane.source.acknowledged)
        plane.loop.handle([plane.message(self.shuffled, self.box.sent[number]) for number in messages])
        for payload in (payload for _, payload in plane.source.acknowledged[before:]):
            if self.chance.random() >= LOST:
                self.box.hear(wire.TelemetryAck.FromString(payload))

    def teardown(self) -> None:
        self.chance.shuffle(self.under_way)
        for number, message in enumerate(self.under_way):
            self._deliver([message], number % 2)
        self._until_nothing_waits()
        for payload in self.box.sent:
            self.planes[0].hear(self.ordered, payload)
        self._adds_up()
        assert self._state(self.shuffled) == self._state(self.ordered)

    def _until_nothing_waits(self) -> None:
        for number in range(MOST_TRIES):
            waiting = [epoch for epoch, line in self.box.lines.items() if line.waiting]
            for epoch in waiting:
                self.box.again(epoch, 5)
                self._deliver([len(self.box.sent) - 1], number % 2)
            if not waiting:
                return
        raise AssertionError("something is never acknowledged")

    def _adds_up(self) -> None:
        for plane in self.planes:
            assert plane.figure("longshore_ingest_identity_conflicts_total", sign="record") == 0
            assert plane.figure("longshore_ingest_identity_conflicts_total", sign="start") == 0
        with self.fleet.database.read() as session:
            for epoch, line in self.box.lines.items():
                books = session.get_one(tables.Epoch, (self.shuffled, epoch))
                assert books.up_to == len(line.accepted) == books.stored + books.dropped
                assert books.dropped <= line.dropped

    def _state(self, node: NodeId) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        with self.fleet.database.read() as session:
            for table in ALL:
                unlike = (
                    ("node_id", "start") if table is tables.Epoch else ("node_id",)
                )  # who tells of it first is chance
                columns = [column for column in table.__table__.columns if column.name not in unlike]
                rows = session.execute(select(*columns).where(table.__table__.c.node_id == node))
                found[table.__tablename__] = sorted(tuple(map(repr, row)) for row in rows)
        return found


def test_what_comes_often_shuffled_to_two_ingests_is_stored_as_in_one_ordered_pass(
    database: Database, clock: FakeClock
) -> None:
    Shuffled.fleet = SimFleet(database, clock)
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    few = 8 if database.shared else 20
    run_state_machine_as_test(
        Shuffled,
        settings=settings(
            max_examples=10 * few if SOAK else few, stateful_step_count=25, deadline=None, suppress_health_check=slow
        ),
    )
