"""BlobSource from memory: for tests, and for a release that was handed over whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from protos.errors import Retryable
from protos.ids import Digest

CHUNK = 256 << 10  # bytes


class MemoryBlobs:
    """See agent.ports.BlobSource. `blobs` may change while in use."""

    def __init__(self, blobs: Mapping[Digest, bytes]) -> None:
        self._blobs = blobs

    async def fetch(self, digest: Digest, offset: int, _rate: float = 0.0) -> AsyncGenerator[bytes, None]:
        """See the port."""
        content = self._blobs.get(digest)
        if content is None:
            raise Retryable(f"no file {digest[:19]}… here; push the release again")
        for start in range(offset, len(content), CHUNK):
            yield content[start : start + CHUNK]
