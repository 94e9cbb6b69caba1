"""Where files and metadata come from on a box that may have a network or not: what was carried, or the control plane.

Files by digest are taken from what was carried wherever it has them: they prove themselves, and cost no link. Metadata
is asked of the control plane while that answers, since it has the newest; else of what was carried, unless that is
older than what this box has proven already.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from agent.adapters.blob_directory import DirectoryBlobs
from agent.adapters.carried_folder import CarriedFolder
from agent.ports import BlobSource
from agent.supervise import in_thread
from agent.trust.floors import Floors
from agent.trust.metadata import MetadataSource
from protos import carried
from protos.ids import Digest


def offers(versions: tuple[int, int], floors: Floors) -> bool:
    """`versions`: of a timestamp and of the highest root beside it. A newer root may let timestamps begin anew."""
    timestamp, root = versions
    return bool(timestamp) and (timestamp >= floors.timestamp or root > floors.root)


@dataclass(frozen=True)
class NearestMetadata:
    """See agent.trust.metadata.MetadataSource. `answers`: whether the control plane does."""

    network: MetadataSource
    folder: CarriedFolder
    answers: Callable[[], bool]
    floors: Callable[[], Floors]

    @property
    def ready(self) -> bool:
        return self._source.ready

    async def get(self, name: str, most: int) -> bytes:
        """See the port."""
        return await self._source.get(name, most)

    @property
    def _source(self) -> MetadataSource:
        near = not self.answers() and offers(self.folder.versions(), self.floors())
        return self.folder.metadata if near else self.network


class NearestBlobs:
    """See agent.ports.BlobSource."""

    def __init__(self, network: BlobSource, folder: CarriedFolder) -> None:
        self._network, self._folder = network, folder
        self._near = DirectoryBlobs(folder.path / carried.BLOBS)

    async def fetch(
        self, digest: Digest, offset: int, rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        source = await self._nearest(digest)
        async with aclosing(source.fetch(digest, offset, rate, stop=stop)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def table(self, digest: Digest, most: int) -> bytes | None:
        """See the port."""
        return await (await self._nearest(digest)).table(digest, most)

    async def _nearest(self, digest: Digest) -> BlobSource:
        return self._near if await in_thread(self._folder.sound, digest) else self._network
