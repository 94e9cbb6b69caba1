"""Ingest over a broker in memory and a real database."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from controlplane.adapters.telemetry_memory import MemoryTelemetryIn
from controlplane.ingest.loop import IngestLoop
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from controlplane.ports import Message
from protos import telemetry_pb2 as wire
from protos.ids import NodeId
from protos.topics import Channel
from tests.sim.fleet import SimFleet
from tests.sim.telemetry import draft


@dataclass
class Plane:
    """The parts, and what was said to them."""

    fleet: SimFleet
    ingest: IngestService
    insights: InsightsService
    source: MemoryTelemetryIn = field(default_factory=MemoryTelemetryIn)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.loop = IngestLoop(self.source, self.ingest, self.fleet.boxes.presence, self.registry)

    def message(self, node: str, payload: bytes) -> Message:
        """Telemetry that comes now."""
        return Message(NodeId(node), Channel.TELEMETRY, payload, self.fleet.now_ms)

    def hear(self, node: str, payload: bytes, channel: Channel = Channel.TELEMETRY, *, retained: bool = False) -> None:
        """One message, handled."""
        self.loop.handle([Message(NodeId(node), channel, payload, self.fleet.now_ms, retained)])

    def acknowledged(self) -> list[wire.TelemetryAck]:
        return [wire.TelemetryAck.FromString(payload) for _, payload in self.source.acknowledged]

    def figure(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


def told(*records: wire.Record, epoch: str = "e1", start: str = "s1", **other: object) -> bytes:
    """A batch of an agent that tells its start."""
    return wire.TelemetryBatch(epoch=epoch, records=records, start=start, **other).SerializeToString()  # type: ignore[arg-type]  # a test's shorthand


def frame_record(seq: int, number: int) -> wire.Record:
    """A frame's result; `number` tells them apart."""
    record = wire.Record.FromString(draft(number=number).body)
    record.seq = seq
    return record
