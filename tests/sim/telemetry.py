"""Frames, drafts and a control plane for telemetry tests: it stores, acknowledges, forgets to, or is away."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.telemetry import records
from agent.telemetry.classes import RecordClass
from agent.telemetry.records import Draft, Latencies, NodeStats, OutcomeWindow
from agent.types import Box, CameraState, Direction, Finished, Happening, Tap, What
from protos import telemetry_pb2 as wire
from protos.ids import CameraName, DeploymentName, Digest, NodeId
from protos.outcomes import Outcome
from tests.sim.payloads import read

NODE = NodeId("quay-1")
RELEASE = Digest("sha256:" + "ab" * 32)
TAP = Tap(CameraName("quay"), DeploymentName("harbour"))
BOX = Box(0.1, 0.2, 0.3, 0.4, 0.9, "boat")
CROSSED = Happening(What.CROSSED, "gate", "boat", 12, Direction.TO_RIGHT)
DWELT = Happening(What.DWELT, "berth", "boat", 3, seconds=30.25)


def finished(
    seq: int = 1,
    outcome: Outcome = Outcome.OK_LOCAL,
    latency: float = 0.05,
    tap: Tap = TAP,
    at: float = 1_000.0,
    **other: object,
) -> Finished:
    """A frame that ended at monotonic `at`."""
    answered = outcome not in (Outcome.SHED, Outcome.SUPERSEDED, Outcome.ERROR)
    values: dict[str, object] = {
        "tap": tap,
        "seq": seq,
        "outcome": outcome,
        "captured": at - latency,
        "captured_unix_ns": 1_795_000_000_000_000_000 + seq,
        "finished": at,
        "boxes": (BOX,) if answered else (),
        "release": RELEASE if answered else None,
    }
    return Finished(**{**values, **other})  # type: ignore[arg-type]  # a test's shorthand


def draft(record_class: RecordClass = RecordClass.DETECTION, number: int = 1) -> Draft:
    """A record of the class; `number` tells them apart."""
    made: dict[RecordClass, Callable[[], Draft]] = {
        RecordClass.DEBUG: lambda: records.frame(finished(number, boxes=())),
        RecordClass.METRIC: lambda: records.outcomes(
            OutcomeWindow(TAP, number, number + 1, {Outcome.OK_LOCAL: 1}, Latencies((0, 1), 0.001))
        ),
        RecordClass.DETECTION: lambda: records.frame(finished(number)),
        RecordClass.ALARM: lambda: records.camera_health(TAP.camera, CameraState.RUNNING, "", number),
    }
    return made[record_class]()


def stats(number: int = 1) -> Draft:
    """What a box tells of itself."""
    return records.node_stats(NodeStats(0.5, 1, 2), 0, 0, number)


@dataclass
class Oracle:
    """What a control plane has stored of one node, and whether it adds up."""

    stored: dict[tuple[str, int], wire.Record] = field(default_factory=dict)
    received: int = 0
    tallies: dict[str, wire.Tally] = field(default_factory=dict)  # the last of each epoch

    def take(self, payload: bytes) -> wire.TelemetryAck:
        batch = read(payload)
        for record in batch.records:
            self.received += 1
            known = self.stored.setdefault((batch.epoch, record.seq), record)
            assert known == record, "one number, two contents"
        self.tallies.update({tally.epoch: tally for tally in batch.tallies})
        seqs = sorted(record.seq for record in batch.records)
        return wire.TelemetryAck(epoch=batch.epoch, stored=[wire.SeqRange(first=seq, last=seq) for seq in seqs])

    def declared(self) -> Counter[str]:
        """Dropped records by class, as stored Gaps say."""
        gaps = [record.gap for record in self.stored.values() if record.WhichOneof("body") == "gap"]
        return sum((Counter({gap.record_class: gap.dropped}) for gap in gaps), Counter())

    def numbers(self, epoch: str) -> set[int]:
        """Of an epoch: stored, or declared dropped; each once."""
        found = {seq for name, seq in self.stored if name == epoch}
        for record in self.bodies("gap"):
            if record.gap.epoch == epoch:
                dropped = set(range(record.gap.first_seq, record.gap.last_seq + 1))
                assert record.gap.dropped == len(dropped), "a Gap that is not exact"
                assert not dropped & found, "a record that is stored and declared dropped, or declared twice"
                found |= dropped
        return found

    def by_class(self) -> list[str]:
        """The class of each stored record but Gaps, as `draft` made it."""
        words = {"outcomes": "metric", "node": "metric", "camera": "alarm"}
        kinds = [(str(record.WhichOneof("body")), record) for record in self.stored.values()]
        frames = ["detection" if record.frame.boxes else "debug" for kind, record in kinds if kind == "frame"]
        return [*frames, *(words[kind] for kind, _ in kinds if kind in words)]

    def bodies(self, kind: str) -> list[wire.Record]:
        return [record for record in self.stored.values() if record.WhichOneof("body") == kind]


@dataclass
class Plane:
    """A control plane on a MemoryHub that loses a share of its acknowledgements."""

    publish: Callable[[bytes], object]
    rng: random.Random
    oracle: Oracle = field(default_factory=Oracle)
    away: bool = False
    ack_loss: float = 0.0

    def handle(self, payload: bytes) -> None:
        if self.away:
            return
        ack = self.oracle.take(payload)
        if self.rng.random() >= self.ack_loss:
            self.publish(ack.SerializeToString())
