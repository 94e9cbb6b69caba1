"""Files of metadata for a thread, fetched on the loop that owns the network."""

from __future__ import annotations

import asyncio
import concurrent.futures

from agent.trust.metadata import MetadataSource
from protos.errors import Retryable


class Fetching:
    """See agent.trust.metadata.Get. Made on the loop; called from one thread at a time."""

    def __init__(self, source: MetadataSource) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._asked: concurrent.futures.Future[bytes] | None = None
        self._closed = False

    def __call__(self, name: str, most: int) -> bytes:
        """Raises what MetadataSource.get does."""
        if self._closed:
            raise Retryable("the agent ends")
        self._asked = asyncio.run_coroutine_threadsafe(self._source.get(name, most), self._loop)
        if self._closed:  # meanwhile
            self._asked.cancel()
        try:
            return self._asked.result()
        except concurrent.futures.CancelledError:
            raise Retryable("the agent ends") from None
        finally:
            self._asked = None

    def close(self) -> None:
        """Whoever waits for a file waits no longer."""
        self._closed = True
        if self._asked is not None:
            self._asked.cancel()
