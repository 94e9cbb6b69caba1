"""What packets were for, and what a month of them comes to. Pure.

To the broker, an exchange begins with what the box sends after a moment of rest; its first segment tells a beat from
telemetry by its length. Of a connection, everything before the client's third segment with content opens it: its hello,
its proof, and then what it came for. Of one to files, what asks is told by its length: the leave is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.idle.wire import Packet

REST_SECONDS = 0.5
BEAT_BYTES = 80  # of TLS, at most: the topic, and two bytes
OPENS = 2  # segments of the client with content: hello, and proof
ASKS_BYTES = 160  # of TLS, at least: a proof is half of it; a proof may travel with the first question


@dataclass(frozen=True)
class Exchange:
    """`kind`: "beat", "telemetry", "told" (the control plane began), "opening" or "closing"; `size` in bytes."""

    at: float
    kind: str
    size: int


def total(packets: Iterable[Packet]) -> int:
    return sum(packet.size for packet in packets)


def opening(connection: list[Packet]) -> list[Packet]:
    """The first packets of one connection."""
    sent = 0
    for number, packet in enumerate(connection):
        sent += packet.up and packet.payload > 0
        if sent > OPENS:
            return connection[:number]
    return connection


def questions(connection: list[Packet]) -> list[int]:
    """Where in a connection the client asks for a file."""
    large = [n for n, packet in enumerate(connection) if packet.up and packet.payload >= ASKS_BYTES]
    return large[1:]  # the first is its hello


def connections(packets: Iterable[Packet]) -> list[list[Packet]]:
    """In the order in which they were opened; of each, its packets in order."""
    found: dict[tuple[int, int], list[Packet]] = {}
    for packet in packets:
        found.setdefault((packet.port, packet.client), []).append(packet)
    return list(found.values())


def exchanges(packets: Iterable[Packet]) -> list[Exchange]:
    """Of what went to and from the broker over a connection that is open."""
    found: list[list[Packet]] = []
    for packet in packets:
        if not found or packet.at - found[-1][-1].at > REST_SECONDS:
            found.append([])
        found[-1].append(packet)
    return [Exchange(each[0].at, _kind(each), total(each)) for each in found]


def _kind(exchange: list[Packet]) -> str:
    first = next((packet for packet in exchange if packet.payload), None)
    if first is None:
        return "closing"
    if not first.up:
        return "told"
    return "beat" if first.payload <= BEAT_BYTES else "telemetry"


@dataclass(frozen=True)
class Costs:
    """Bytes of one of each."""

    beat: float
    telemetry: float
    sync: float  # of the report and the answer
    sync_opening: float  # with the end of its connection
    file: float  # of signed metadata, without
    file_opening: float
    broker_opening: float


@dataclass(frozen=True)
class Events:
    """How many of each in a month."""

    beats: float
    telemetry: float
    syncs: float
    files: float
    looks: float  # for files: a connection each
    renewals: float


def month(costs: Costs, events: Events) -> dict[str, float]:
    """Bytes of a month, by what they are for. A renewal opens both connections, and asks as a Sync does."""
    return {
        "beats": costs.beat * events.beats,
        "telemetry": costs.telemetry * events.telemetry,
        "sync": costs.sync * events.syncs,
        "metadata": costs.file * events.files,
        "tls of sync": costs.sync_opening * events.syncs,
        "tls of metadata": costs.file_opening * events.looks,
        "renewal": (costs.sync + costs.sync_opening + costs.broker_opening) * events.renewals,
    }


def megabytes(parts: Mapping[str, float]) -> dict[str, float]:
    return {kind: round(size / 1e6, 3) for kind, size in parts.items()}
