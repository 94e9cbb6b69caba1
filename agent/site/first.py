"""BlobSource that asks the cache of the site first and the control plane for the rest.

Rules that hold here: whatever the cache does, a file goes on from the control plane where it stopped; bytes that are
there are not fetched again. Of a long file the control plane is asked for a piece at a time, for the cache may do well
again. A whole manifest is proven before a byte of it is handed on; of other files it is remembered that the cache gave
some, and who stages one proves it (agent.update.staging). Tables of chunks, which have no digest, come from the control
plane.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.ports import BlobSource
from agent.site.standing import Origin, Standing
from protos import manifest
from protos.errors import Retryable
from protos.ids import Digest, digest_of

MOST_UNTOLD = 16
PIECE = 32 << 20  # bytes that the control plane is asked for at once, where there is a cache


class SiteFirst:
    """See agent.ports.BlobSource."""

    def __init__(self, cache: BlobSource, network: BlobSource, standing: Standing) -> None:
        self._cache, self._network, self._standing = cache, network, standing
        self._untold: dict[Digest, None] = {}  # manifests that came from elsewhere

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        if stop is None and not offset and (content := await self._whole(digest, rate)):
            yield content
            return
        if stop is None and not offset and self._standing.place:
            self._untold = dict.fromkeys([*self._untold, digest][-MOST_UNTOLD:])
        if stop is None or not self._standing.place:
            async with aclosing(self._far(digest, offset, rate, stop)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        before = -1
        while before < offset < stop:
            before = offset
            async with aclosing(self._both(digest, offset, rate, stop)) as chunks:
                async for chunk in chunks:
                    offset += len(chunk)
                    yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port."""
        return await self._network.table(digest, most)

    async def _both(self, digest: Digest, offset: int, rate: float, stop: int) -> AsyncGenerator[bytes, None]:
        """What the cache gives, and a piece of the rest."""
        async with aclosing(self._near(digest, offset, rate, stop)) as chunks:
            async for chunk in chunks:
                offset += len(chunk)
                yield chunk
        if offset < stop:
            async with aclosing(self._far(digest, offset, rate, min(stop, offset + PIECE))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _far(self, digest: Digest, offset: int, rate: float, stop: int | None) -> AsyncGenerator[bytes, None]:
        """From the control plane."""
        async with aclosing(self._network.fetch(digest, offset, rate, stop=stop)) as chunks:
            async for chunk in chunks:
                self._standing.took(Origin.CONTROL_PLANE, digest, len(chunk))
                yield chunk

    async def _near(self, digest: Digest, offset: int, rate: float, stop: int) -> AsyncGenerator[bytes, None]:
        """What the cache gives of it."""
        if self._standing.asks(digest):
            await self._tell()
        if not self._standing.asks(digest):
            return
        try:
            async with aclosing(self._cache.fetch(digest, offset, rate, stop=stop)) as chunks:
                async for chunk in chunks:
                    offset += len(chunk)
                    self._standing.took(Origin.SITE_CACHE, digest, len(chunk))
                    yield chunk
            if offset < stop:
                raise Retryable("it gave less of it than was asked for")
        except Retryable as error:
            self._standing.failed(digest, error)
        else:
            self._standing.did_well()

    async def _tell(self) -> None:
        """A cache gets files of manifests that it has: ask it for those that did not come from it."""
        for each in list(self._untold):
            if await self._whole(each, 0.0):
                self._untold.pop(each, None)

    async def _whole(self, digest: Digest, rate: float) -> bytes:
        """The manifest of that digest from the cache; empty where that does not give it."""
        if not self._standing.asks(digest):
            return b""
        content = b""
        try:
            async with aclosing(self._cache.fetch(digest, 0, rate)) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) > manifest.MAX_BYTES:
                        break  # it cannot be one; its hash will tell
        except Retryable as error:
            self._standing.failed(digest, error)
            return b""
        self._standing.took(Origin.SITE_CACHE, digest, len(content))
        if digest_of(content) != digest:
            self._standing.lied(digest)
            return b""
        self._standing.proven(digest)
        self._standing.did_well()
        return content
