"""What a camera needs of the system beside its worker's channel, and so which cameras may share a worker. Pure.

A worker gives up everything else at its start, and never gets it back: cameras that need the same live together, and a
worker whose cameras come to need more is started anew. Files need nothing: the agent opens them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from agent.cameras.spec import Device, File, Rtsp, Source, Synthetic

ROOM = 8 << 30  # bytes of memory: sixteen cameras of 4K, each with sixteen pictures in its decoder, take half
_PORTS = {"rtsp": 554, "rtsps": 322}


class Kind(StrEnum):
    DRAWN = "drawn"  # no decoder is loaded for these
    FILE = "file"
    NETWORK = "network"
    DEVICE = "device"


@dataclass(frozen=True)
class Needs:
    """Of one worker: one kind, with the device that it opens or the TCP ports that it connects to."""

    kind: Kind = Kind.DRAWN
    device: str = ""
    ports: frozenset[int] = frozenset()

    @classmethod
    def of(cls, sources: Iterable[Source]) -> Needs:
        """What cameras of one kind need together. Two devices never share a worker."""
        needs = cls()
        for source in sources:
            match source:
                case Synthetic():
                    pass
                case File():
                    needs = cls(Kind.FILE)
                case Device(path):
                    needs = cls(Kind.DEVICE, device=path)
                case Rtsp(url):
                    needs = cls(Kind.NETWORK, ports=needs.ports | {_port(url)})
        return needs

    def covers(self, other: Needs) -> bool:
        """Can a worker that has these do with them for those?"""
        return (self.kind, self.device) == (other.kind, other.device) and self.ports >= other.ports

    @property
    def words(self) -> list[str]:
        """As a worker's arguments. No secret is among them."""
        match self.kind:
            case Kind.DEVICE:
                return [self.kind, self.device]
            case Kind.NETWORK:
                return [self.kind, *(str(port) for port in sorted(self.ports))]
            case _:
                return [self.kind]

    @classmethod
    def parse(cls, words: Sequence[str]) -> Needs:
        """From `words`; without any, a worker of drawn cameras."""
        kind = Kind(words[0]) if words else Kind.DRAWN
        match kind:
            case Kind.DEVICE:
                return cls(kind, device=words[1])
            case Kind.NETWORK:
                return cls(kind, ports=frozenset(map(int, words[1:])))
            case _:
                return cls(kind)


def _port(url: str) -> int:
    split = urlsplit(url)
    return split.port or _PORTS[split.scheme]
