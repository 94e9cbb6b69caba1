"""What boxes send, made beforehand: frames with one box each, a hundred to a message."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.ingest import wire
from controlplane.ingest.domain import Batch
from protos.ids import NodeId
from tests.sim.ingest import frame_record, told

EPOCH, START = "e" * 32, "s" * 32  # as long as an agent's own
BATCH = 100  # records of a message
NOW_MS = 1_795_000_100_000

Parcel = tuple[NodeId, bytes]


def nodes(boxes: int) -> list[NodeId]:
    return [NodeId(f"quay-{number}") for number in range(boxes)]


def parcels(boxes: Sequence[NodeId], first: int, batches: int, *, historical: bool = False) -> list[Parcel]:
    """`batches` of each box, its records numbered from `first`; boxes take turns."""
    made: list[Parcel] = []
    for start in range(first, first + batches * BATCH, BATCH):
        records = [frame_record(seq, seq) for seq in range(start, start + BATCH)]
        payload = told(*records, epoch=EPOCH, start=START, historical=historical, sent_unix_ms=NOW_MS)
        made += [(node, payload) for node in boxes]
    return made


def parsed(group: Sequence[Parcel]) -> list[Batch]:
    return [wire.batch(node, payload, NOW_MS) for node, payload in group]
