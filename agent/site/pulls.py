"""Files that a site cache fetches because others ask for them: each once at a time, proven, within a bound of the disk.

Rules that hold here: only what signed metadata names is asked for (agent.site.holdings); a file is handed out when its
bytes were hashed and have their name. The box's own updates come first: a file that one of them is fetching is waited
for, and the disk keeps SPARE_BYTES. One that nobody asks for any more is not fetched on; what came of it stays, until
there is no room. What was asked for last stays longest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from agent.errors import Damaged, DiskFull
from agent.ports import BlobSource, Clock
from agent.site.room import stays
from agent.supervise import in_thread
from agent.update.download import paced
from agent.update.store import ReleaseStore
from agent.update.verify import FileFacts
from protos.ids import Digest

SPARE_BYTES = 256 << 20  # left free on the disk, for what the box does itself
UNWANTED_SECONDS = 60.0  # since somebody asked for it last
MOST_LAST = 4096  # digests whose last question is remembered

log = logging.getLogger(__name__)


@dataclass
class Pulls:
    """`own`: files of this box's releases; `extra`: those kept for others, at most `most` bytes.

    `fetching`: locks of the box's own updates, by file. `rate`: bytes per second of all pulls together, 0: no bound.
    """

    source: BlobSource
    own: ReleaseStore
    extra: ReleaseStore
    fetching: defaultdict[Digest, asyncio.Lock]
    clock: Clock
    most: int
    rate: float = 0.0
    spare: int = SPARE_BYTES
    fetched_bytes: int = 0
    _asked: dict[Digest, float] = field(default_factory=dict)  # monotonic seconds
    _pulling: dict[Digest, int] = field(default_factory=dict)  # bytes of the whole files, which have their room
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # to make room: nothing begins while something is swept
    _due: float = 0.0

    def asked(self, digest: Digest) -> None:
        """Somebody wants it now."""
        self._asked.pop(digest, None)
        self._asked[digest] = self.clock.monotonic()
        if len(self._asked) > MOST_LAST:
            del self._asked[next(iter(self._asked))]

    def fetched(self, digest: Digest) -> int:
        """Bytes of it that are here already, though not handed out yet."""
        return max(self.own.staged(digest), self.extra.staged(digest))

    def store(self, digest: Digest) -> ReleaseStore | None:
        """Where the whole, proven file is; None: it is not here."""
        return next((store for store in (self.own, self.extra) if store.has(digest)), None)

    async def pull(self, digest: Digest, size: int) -> None:
        """Have the file here. Raises Retryable (Damaged too: other bytes came), DiskFull, Fatal."""
        async with self.fetching[digest]:
            if self.store(digest) is None and not await in_thread(self._adopted, digest, size):
                await self._fetch_proven(digest, size)

    async def _fetch_proven(self, digest: Digest, size: int) -> None:
        try:
            async with self._turn:
                self._pulling[digest] = size
                await in_thread(self._make_room, digest, dict(self._pulling))
            await self._fetch(digest, size)
            await in_thread(self._keep, digest, size)
        finally:
            self._pulling.pop(digest, None)

    async def _fetch(self, digest: Digest, size: int) -> None:
        """What is missing of it."""
        missing = size - self.extra.staged(digest)
        if missing <= 0:
            return
        async with aclosing(self.source.fetch(digest, size - missing, self.rate, stop=size)) as parts:
            async for part in parts:
                await in_thread(self.extra.append, digest, part[:missing])
                self.fetched_bytes += len(part)
                missing -= len(part)
                if missing <= 0 or self._unwanted(digest):
                    return
                await self._pace(len(part))

    def _unwanted(self, digest: Digest) -> bool:
        return self.clock.monotonic() - self._asked.get(digest, 0.0) > UNWANTED_SECONDS

    async def _pace(self, count: int) -> None:
        if self.rate:
            now = self.clock.monotonic()
            self._due = paced(self._due, count, self.rate, now)
            await self.clock.sleep(self._due - now)

    def _adopted(self, digest: Digest, size: int) -> bool:
        """An update of this box has all of it, not proven yet: then it is here."""
        if self.own.staged(digest) != size or self.own.facts(digest) != FileFacts(size, digest):
            return False
        self.own.complete(digest)
        self.own.keep(digest)
        return True

    def _keep(self, digest: Digest, size: int) -> None:
        if self.extra.staged(digest) < size:  # nobody wants it any more
            return
        if self.extra.facts(digest) != FileFacts(size, digest):
            self.extra.discard([digest])
            raise Damaged(f"{digest[:19]}… came as another file; it is fetched again when it is asked for", (digest,))
        self.extra.complete(digest)
        self.extra.keep(digest)

    def _make_room(self, digest: Digest, pulling: Mapping[Digest, int]) -> None:
        """For the rest of the file beside that of the others of `pulling`, which it is one of. Raises DiskFull."""
        kept = self.extra.kept()
        staged = {each: self.extra.staged(each) for each in pulling if each not in kept}
        parts, held = sum(staged.values()), sum(kept.values())
        missing = sum(max(0, pulling[each] - there) for each, there in staged.items())
        room = min(self.most - parts, held + self.extra.free_bytes() - self.spare) - missing
        if room < 0:
            raise DiskFull(
                f"the site cache has no room for {digest[:19]}… of {pulling[digest] / 2**20:.1f} MiB; free some disk, "
                "or raise LONGSHORE_AGENT_SITE_CACHE_BYTES: others fetch it from the control plane meanwhile"
            )
        if self.extra.used_bytes() - parts > room:
            doubled = {each: 0.0 for each in kept if self.own.has(each)}
            self.extra.sweep([*stays(kept, {**self._asked, **doubled}, room), *pulling])
