"""BlobSource from memory: for tests, and for a release that was handed over whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType

from protos.errors import Retryable
from protos.ids import Digest

CHUNK = 256 << 10  # bytes


class MemoryBlobs:
    """See agent.ports.BlobSource. `blobs` may change while in use, and so may `tables`."""

    def __init__(self, blobs: Mapping[Digest, bytes], tables: Mapping[Digest, bytes] = MappingProxyType({})) -> None:
        self._blobs = blobs
        self._tables = tables

    async def fetch(
        self, digest: Digest, offset: int, _rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        content = self._blobs.get(digest)
        if content is None:
            raise Retryable(f"no file {digest[:19]}… here; push the release again")
        content = content[:stop]
        for start in range(offset, len(content), CHUNK):
            yield content[start : start + CHUNK]

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port."""
        content = self._tables.get(digest)
        return content if content is not None and len(content) <= most else None
