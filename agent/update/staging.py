"""One file of a release onto the disk: from chunks of files that are here, and the rest from the source.

Rules that hold here: what is staged is a prefix of the file, so any interruption goes on from its end. A chunk is
copied only when its bytes hash to what the wanted table says; one that does not is fetched. A file that came by tables
and is not what the manifest names is thrown away, and comes whole: a wrong table costs a fetch. Where a part of it was
there before, a power cut may have spoiled that, and tables get a second chance. Without tables, on either side, the
whole file comes. A file of which the cache of the site gave any byte is hashed here, while it is known whom to blame;
then it comes without the cache. So is one that was there in part, on a box that asks one: who gave that is not known.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from agent.ports import BlobSource
from agent.site.standing import Standing
from agent.supervise import in_thread
from agent.update import chunks
from agent.update import verify as proof
from agent.update.chunks import Copy, Piece, Place
from agent.update.store import ReleaseStore
from agent.update.verify import FileFacts
from protos import chunks as tables
from protos import manifest as manifests
from protos.chunks import Chunk
from protos.errors import Rejected
from protos.ids import Digest, ModelName
from protos.manifest import FileEntry, Manifest

MOST_DOUBTS = 2
MOST_WRONG = 8  # chunks of other bytes than their table says; then the rest is fetched in one go

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Staging:
    """`doubts`: of tables, by file; kept as long as the process. `site`: what the cache of the site is good for.

    `came`: called whenever more of the file is staged.
    """

    source: BlobSource
    releases: ReleaseStore
    doubts: Counter[Digest]
    came: Callable[[], None]
    site: Standing = field(default_factory=Standing)

    async def stage(self, entry: FileEntry, name: ModelName) -> None:
        """Stage what is missing, of a file of the model `name`, and never a byte more than its manifest allows."""
        there = self.releases.staged(entry.digest)
        by_chunks = await self._by_chunks(entry, name)
        await self._fetch(entry.digest, entry.size)
        suspect = by_chunks or self.site.gave(entry.digest) or (there and self.site.place)
        if suspect and not await in_thread(self._right, entry):
            self._blame(entry, there, by_chunks=by_chunks)
            self.releases.discard([entry.digest])
            await self.stage(entry, name)
            return
        self.site.proven(entry.digest)
        await in_thread(self.releases.complete, entry.digest)

    def _blame(self, entry: FileEntry, there: int, *, by_chunks: bool) -> None:
        """Whoever proves least is asked no more: the cache, then tables; else what was there before was spoiled."""
        log.warning("%s: what came together is another file; it comes anew", entry.path)
        if self.site.gave(entry.digest):
            self.site.lied(entry.digest)
        elif by_chunks:
            self.doubts[entry.digest] += 1 if there else MOST_DOUBTS

    async def _by_chunks(self, entry: FileEntry, name: ModelName) -> bool:
        """As much of the file as tables bring; whether one took part in it."""
        if entry.size < tables.SMALLEST_FILE or self.doubts[entry.digest] >= MOST_DOUBTS:
            return False
        near = await in_thread(self._near, entry, name)
        wanted = await self._table(entry.digest, entry.size) if near else []
        if not wanted:
            return False
        here = chunks.places([(digest, await self._table(digest, size)) for digest, size in near.items()])
        for _ in range(MOST_WRONG):
            wrong = await self._assemble(entry.digest, chunks.plan(wanted, here, self.releases.staged(entry.digest)))
            if wrong is None:
                break
            del here[wrong]
        return True

    def _near(self, entry: FileEntry, name: ModelName) -> dict[Digest, int]:
        """Kept files to compare with, and their sizes in bytes."""
        kept = self.releases.kept()
        small = [digest for digest, size in kept.items() if size <= manifests.MAX_BYTES]
        described = [found for digest in small if (found := self._described(digest))]
        return {digest: kept[digest] for digest in chunks.near(entry, name, described) if digest in kept}

    def _described(self, digest: Digest) -> Manifest | None:
        """The manifest that this file is, if it is one."""
        try:
            return proof.manifest(self.releases.read(digest), digest)
        except Rejected:
            return None

    async def _table(self, digest: Digest, size: int) -> list[Chunk]:
        """Empty where there is none."""
        content = await self.source.table(digest, tables.most_bytes(size))
        try:
            return await in_thread(tables.parse, content, size) if content else []
        except Rejected as error:
            log.warning("%s…: %s; it is not used", digest[:19], error)
            return []

    async def _assemble(self, digest: Digest, pieces: Sequence[Piece]) -> bytes | None:
        """Until the file is there, or less came than was asked for; else the SHA-256 of a chunk that is not here."""
        for piece in pieces:
            if isinstance(piece, Copy):
                content = await in_thread(self._copied, piece.chunk, piece.place)
                if content is None:
                    return piece.chunk.sha256
                await in_thread(self.releases.append, digest, content[piece.start - piece.chunk.start :])
                self.came()
            elif not await self._fetch(digest, piece.stop):
                break
        return None

    def _copied(self, chunk: Chunk, place: Place) -> bytes | None:
        content = self.releases.span(place.file, place.start, place.stop)
        return content if hashlib.sha256(content).digest() == chunk.sha256 else None

    async def _fetch(self, digest: Digest, stop: int) -> bool:
        """Stage what is missing of the first `stop` bytes. Whether all of it came."""
        missing = stop - self.releases.staged(digest)
        if missing > 0:
            async with aclosing(self.source.fetch(digest, stop - missing, stop=stop)) as parts:
                async for part in parts:
                    await in_thread(self.releases.append, digest, part[:missing])
                    missing -= len(part)
                    self.came()
                    if missing <= 0:
                        break
        return missing <= 0

    def _right(self, entry: FileEntry) -> bool:
        return self.releases.facts(entry.digest) == FileFacts(entry.size, entry.digest)
