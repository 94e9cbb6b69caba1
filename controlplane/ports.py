"""Ports of the control plane: what the services need from the world, each with its contract.

One contract-test body in tests/contract runs against every adapter of a port, the in-memory one included. Adapters
raise only protos.errors and controlplane.errors; vendor exceptions never pass. All calls are blocking and thread-safe:
use cases run in threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from protos.ids import Digest, NodeId
from protos.topics import Channel


class Clock(Protocol):
    """Time as an argument. Only adapters read the system's clocks."""

    def unix(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; for durations."""
        ...


class Staging(Protocol):
    """Bytes on their way in, of one upload. Only one opener at a time."""

    @property
    def offset(self) -> int:
        """How many bytes are there; the next `write` goes behind them."""
        ...

    def write(self, chunk: bytes) -> None:
        """Append. Raises Retryable when the disk is full; what was written before stays."""
        ...

    def commit(self, digest: Digest) -> None:
        """Make the staged bytes readable under `digest`, atomically and durably; the staging is then gone.

        Raises:
            Rejected: the bytes are not those of `digest`; they are thrown away.
        """
        ...


class BlobStore(Protocol):
    """Immutable bytes by SHA-256. What is readable is complete and was hashed."""

    def size(self, digest: Digest) -> int | None:
        """None when absent."""
        ...

    def read(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes [start, stop) in chunks of at most 1 MiB. Raises NotFound before the first chunk."""
        ...

    def stage(self, upload: str) -> AbstractContextManager[Staging]:
        """Open the staging of `upload`, new or resumed after any crash. Leaving the block keeps what was written.

        Raises:
            Retryable: another request writes to it now.
        """
        ...

    def staged(self, upload: str) -> int:
        """How many bytes of `upload` are there; 0 when there is none. Needs no opening."""
        ...

    def discard(self, upload: str) -> None:
        """Forget a staging. No error when absent."""
        ...

    def stagings(self) -> Iterator[str]:
        """Every upload of which bytes are here."""
        ...

    def give_up(self, upload: str, before: float) -> bool:
        """Forget a staging nobody wrote to since the Unix time `before`; also true when there is none.

        False: somebody wrote to it later, or has it open now; it stays.
        """
        ...

    def stored(self) -> Iterator[tuple[Digest, float]]:
        """Every readable blob and the Unix time it was stored or last refreshed."""
        ...

    def refresh(self, digest: Digest) -> bool:
        """Count a blob as stored now; False when it is absent."""
        ...

    def delete(self, digest: Digest) -> None:
        """With its table. No error when absent; a reader that has begun may finish."""
        ...

    def table(self, digest: Digest) -> bytes | None:
        """The table of a blob's chunks as it was kept; None when it has to be made, again too."""
        ...

    def keep_table(self, digest: Digest, content: bytes) -> None:
        """In place of the one before. It goes with its blob, and may be lost earlier: no error when the disk fails."""
        ...


class Notifier(Protocol):
    """Tells a box that its desired state changed. A hint only: boxes sync on their interval anyway."""

    def hint(self, node: NodeId, generation: int, watch_until_unix_ms: int) -> None:
        """Publish a retained DesiredHint. Returns at once, never raises: without a broker nothing happens."""
        ...

    def forget(self, node: NodeId) -> None:
        """Clear what the broker keeps of a box that is no more, hint and presence: now, or when the broker is back.

        Returns at once, never raises.
        """
        ...


MAX_MESSAGE_BYTES = 1 << 20  # of a box, to broker and control plane; a box puts 64 KiB into one


@dataclass(frozen=True)
class Message:
    """What a box said. The broker's rules make sure that it was this box."""

    node: NodeId
    channel: Channel
    payload: bytes = field(repr=False)
    received_ms: int  # Unix, by our clock, before it waited for anything of ours
    retained: bool = False
    historical: bool = False  # telemetry that waited from before its box was connected


@dataclass(frozen=True)
class Queued:
    """Messages that wait to be received, and the bytes of their payloads."""

    messages: int
    bytes: int


class TelemetryIn(Protocol):
    """Messages of all boxes, and the way back. Delivery is at least once; what is not taken in time is lost here.

    Nothing raises: without a broker there are no messages, and an acknowledgement that gets lost is asked for again.
    """

    def start(self) -> None:
        """Begin to listen, and do so again whenever the broker comes back, until `stop`."""
        ...

    def stop(self) -> None: ...

    def receive(self, most: int, seconds: float) -> list[Message]:
        """Block until there is a message, then take what is there, at most `most`; none when `seconds` pass first."""
        ...

    def acknowledge(self, node: NodeId, payload: bytes) -> None:
        """Send a TelemetryAck."""
        ...

    @property
    def waiting(self) -> Queued: ...

    @property
    def overflow(self) -> int:
        """Messages that were dropped, too large or because nobody received fast enough; only grows."""
        ...

    @property
    def trouble(self) -> str:
        """Why no telemetry comes, one sentence with the next step; empty when all is well."""
        ...
