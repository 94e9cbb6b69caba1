"""A source of release bytes that misbehaves on request; implements agent.ports.BlobSource."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from controlplane.registry import chunking
from protos.errors import Retryable
from protos.ids import Digest
from tests.sim.releases import MadeRelease


@dataclass
class SimBlobs:
    """Serves what `add` was given. `away`, `break_after`, `wrong` and `hang` are switched by the test."""

    chunk: int = 16_384
    away: bool = False  # no network
    break_after: int | None = None  # bytes of one transfer, then the wire breaks
    hang: bool = False  # the next byte never comes
    wrong: dict[Digest, bytes] = field(default_factory=dict)  # other bytes under a digest's name
    fetches: list[tuple[Digest, int]] = field(default_factory=list)  # (digest, offset)
    sent: Counter[Digest] = field(default_factory=Counter)  # bytes handed out
    tables: dict[Digest, bytes] = field(default_factory=dict)  # see `cut`
    asked: list[Digest] = field(default_factory=list)  # whose table was wanted
    _blobs: dict[Digest, bytes] = field(default_factory=dict)

    def add(self, *releases: MadeRelease) -> None:
        for release in releases:
            self._blobs.update(release.blobs)

    def remove(self, blobs: Mapping[Digest, bytes]) -> None:
        for digest in blobs:
            self._blobs.pop(digest, None)

    def cut(self) -> None:
        """Have tables of all files, as a control plane makes them."""
        self.tables = {digest: chunking.table([body]) for digest, body in self._blobs.items()}

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port."""
        self.asked.append(digest)
        if self.away:
            raise Retryable("the simulated network is away")
        found = self.tables.get(digest, b"")
        return found if 0 < len(found) <= most else None

    async def fetch(
        self, digest: Digest, offset: int, _rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        self.fetches.append((digest, offset))
        if self.away:
            raise Retryable("the simulated network is away")
        body = self.wrong.get(digest, self._blobs.get(digest))
        if body is None:
            raise Retryable("the simulated control plane has no such file", 60.0)
        asked = len(body) if stop is None else min(len(body), stop)
        end = asked if self.break_after is None else min(asked, offset + self.break_after)
        for start in range(offset, end, self.chunk):
            if self.hang:
                await asyncio.Event().wait()
            piece = body[start : min(start + self.chunk, end)]
            self.sent[digest] += len(piece)
            yield piece
        if end < asked:
            raise Retryable("the simulated wire broke")
