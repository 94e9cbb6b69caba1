"""BlobSource of what a site cache keeps for others: its own releases take a file from there before any network."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator

from agent.site.standing import Lacking
from agent.supervise import in_thread
from agent.update.store import ReleaseStore
from protos.ids import Digest

PIECE = 256 << 10  # bytes


class KeptBlobs:
    """See agent.ports.BlobSource. It has no tables of chunks; raises Lacking, as agent.adapters.blob_site."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store

    async def fetch(
        self, digest: Digest, offset: int, _rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        if not await in_thread(self._store.has, digest):
            raise Lacking(f"this box keeps no file {digest[:19]}… for others")
        end = math.inf if stop is None else stop
        while offset < end:
            content = await in_thread(self._store.span, digest, offset, int(min(end, offset + PIECE)))
            if not content:
                return
            offset += len(content)
            yield content

    async def table(self, digest: Digest, most: int) -> bytes | None:  # noqa: ARG002 - the port's signature
        """See the port."""
        return None
