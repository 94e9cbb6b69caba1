"""Takes one protection of telemetry away, inside the process of a box or of ingest: the checkers must then turn red."""

from __future__ import annotations

import random
import secrets
import zlib
from collections.abc import Callable
from pathlib import Path

from agent.adapters.mqtt import MqttLink
from agent.telemetry import outbox
from controlplane.ingest import loop, wire
from controlplane.ingest.domain import Batch, Receipt
from protos import telemetry_pb2 as messages
from protos.topics import Channel

ZLIB = b"\x78"


def _no_waiting_for_the_control_plane(_folder: Path) -> None:
    """The broker's word deletes."""
    real = MqttLink.publish

    async def believing(self: MqttLink, payload: bytes) -> None:
        await real(self, payload)
        self._received(Channel.ACK, _everything_of(payload))

    MqttLink.publish = believing  # type: ignore[method-assign]  # taken away on purpose


def _everything_of(payload: bytes) -> bytes:
    batch = messages.TelemetryBatch.FromString(zlib.decompress(payload) if payload[:1] == ZLIB else payload)
    stored = [messages.SeqRange(first=record.seq, last=record.seq) for record in batch.records]
    return messages.TelemetryAck(epoch=batch.epoch, stored=stored).SerializeToString()


def _no_names_of_its_own(folder: Path) -> None:
    """Each start takes the names that the one before it in this folder, or in a copy of it, would take."""
    chance = random.Random((folder / "seed").read_text() if (folder / "seed").exists() else "seed")
    secrets.token_hex = lambda nbytes=None: chance.randbytes(nbytes or 8).hex()


def _no_gap(_folder: Path) -> None:
    """What is dropped is forgotten."""
    outbox.declare = lambda *_: None


def _no_commit_before_the_acknowledgement(_folder: Path) -> None:
    """Ingest says stored when it has read."""
    real = loop.IngestLoop._store

    def hasty(self: loop.IngestLoop, batches: list[Batch]) -> None:
        for batch in batches:
            ranges = tuple((row.seq, row.seq) for row in batch.rows)
            said = Receipt(batch.node, batch.epoch, up_to=0, ranges=ranges)
            self._source.acknowledge(batch.node, wire.acknowledgement(said))
        real(self, batches)

    loop.IngestLoop._store = hasty  # type: ignore[method-assign]  # taken away on purpose


OF_A_BOX: dict[str, Callable[[Path], None]] = {
    "waiting for the control plane": _no_waiting_for_the_control_plane,
    "names of its own": _no_names_of_its_own,
    "gaps": _no_gap,
}
OF_INGEST: dict[str, Callable[[Path], None]] = {
    "commit before acknowledgement": _no_commit_before_the_acknowledgement,
}


def plant(name: str, folder: Path) -> None:
    if name:
        (OF_A_BOX | OF_INGEST)[name](folder)
