"""What a site cache hands out, by digest: manifests that signed metadata lists and assigns, and the files they name.

Rules that hold here: nothing else, whatever lies on the disk. What this box approved for itself counts, and so does
what is assigned to other boxes of the fleet; that is looked up when somebody asks for it, for MOST_SOUGHT at once,
and is forgotten when newer metadata was proven. A file that is named and not here is fetched (agent.site.pulls) while
those who want it wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from agent.errors import Damaged
from agent.ports import Clock
from agent.site.pulls import Pulls
from agent.supervise import first_of, in_thread
from agent.trust.agreement import Approval
from agent.update import verify as proof
from agent.update.store import ReleaseStore
from protos import manifest as manifests
from protos.errors import LongshoreError, Rejected
from protos.ids import Digest
from protos.trust import Listing

WAIT_SECONDS = 3.0  # for a file that is being fetched, before its caller is told to ask again
MOST_SOUGHT = 64  # files at once

log = logging.getLogger(__name__)


class Listed(Protocol):
    """See agent.trust.service.SignedTrust.listed."""

    async def __call__(self, digest: Digest, *, anew: bool = False) -> Listing | None: ...


@dataclass(frozen=True)
class Here:
    """A whole file that may be handed out. `size` in bytes."""

    digest: Digest
    size: int
    store: ReleaseStore


@dataclass(frozen=True)
class Coming:
    """It may be handed out, and is being fetched. `fetched`: bytes of it so far."""

    fetched: int


@dataclass
class Holdings:
    """`listed`: of a manifest's digest, as signed metadata has it; `version`: of the metadata that was proven last."""

    pulls: Pulls
    approvals: Mapping[Digest, Approval]
    listed: Listed
    version: Callable[[], int]
    clock: Clock
    _version: int = 0
    _manifests: dict[Digest, int] = field(default_factory=dict)  # bytes
    _files: dict[Digest, tuple[int, Digest]] = field(default_factory=dict)  # bytes, and the manifest that names it
    _read: set[Digest] = field(default_factory=set)  # manifests whose files are known
    _judged: set[Digest] = field(default_factory=set)  # manifests on the disk that were looked up
    _sought: dict[Digest, asyncio.Task[None]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, digest: Digest) -> Here | Coming | None:
        """None: it may not be handed out, or does not come."""
        self._forget_old()
        self._wanted(digest)
        found = await in_thread(self._here, digest)
        if found is not None:
            return found
        if digest not in self._sought and len(self._sought) >= MOST_SOUGHT:
            return None
        task = self._sought.get(digest) or self._begin(digest)
        await first_of(self.clock.sleep(WAIT_SECONDS), asyncio.wait({task}))
        if not task.done():
            return Coming(self.pulls.fetched(digest))
        return await in_thread(self._here, digest)

    async def close(self) -> None:
        """What is being fetched goes on at the next start."""
        for task in list(self._sought.values()):
            task.cancel()
        await asyncio.gather(*self._sought.values(), return_exceptions=True)

    # ---- what may be handed out ----

    def _size(self, digest: Digest) -> int | None:
        """Bytes; None: it may not be handed out, as far as is known."""
        found = self._manifests.get(digest)
        return self._files.get(digest, (None, ""))[0] if found is None else found

    def _wanted(self, digest: Digest) -> None:
        """Without its manifest a file is of no use. What strangers make up is not remembered."""
        if self._size(digest) is not None:
            for each in (self._files.get(digest, (0, digest))[1], digest):
                self.pulls.asked(each)

    def _here(self, digest: Digest) -> Here | None:
        size = self._size(digest)
        store = self.pulls.store(digest)
        return None if size is None or store is None else Here(digest, size, store)

    def _forget_old(self) -> None:
        version = self.version()
        if version != self._version:
            self._version = version
            for known in (self._manifests, self._files, self._read, self._judged):
                known.clear()

    async def _look(self, digest: Digest) -> None:
        """Find out whether it may be handed out; cheap looks first."""
        await self._know(self._approved())
        if self._size(digest) is None:
            async with self._turn:
                await self._judge()
        if self._size(digest) is None:
            await self._know(_sizes(await self.listed(digest, anew=True)))

    async def _judge(self) -> None:
        """Manifests among what is kept for others."""
        for digest in await in_thread(self._unjudged):
            await self._know(_sizes(await self.listed(digest)))
            self._judged.add(digest)

    def _approved(self) -> dict[Digest, int]:
        """Manifests of this box's own releases; one that was never signed is not for others."""
        kept = {digest: approval.listing for digest, approval in self.approvals.items()}
        return {digest: listing.size for digest, listing in kept.items() if listing is not None}

    def _unjudged(self) -> list[Digest]:
        """What may be manifests among the files that are kept for others."""
        small = (each for each, size in self.pulls.extra.kept().items() if size <= manifests.MAX_BYTES)
        return [each for each in small if each not in self._judged and self._described(each)]

    async def _know(self, found: Mapping[Digest, int]) -> None:
        """Manifests, and of those that are here their files, too."""
        self._manifests.update(found)
        for digest in [each for each in self._manifests if each not in self._read]:
            described = await in_thread(self._described, digest)
            if described is not None and digest in self._manifests:  # newer metadata may have come meanwhile
                self._read.add(digest)
                self._files.update({entry.digest: (entry.size, digest) for entry in described.files})

    def _described(self, digest: Digest) -> manifests.Manifest | None:
        """The manifest that lies here under this digest, if it is one."""
        store = self.pulls.store(digest)
        with suppress(Rejected, Damaged):
            return proof.manifest(store.read(digest), digest) if store else None
        return None

    # ---- what is fetched ----

    def _begin(self, digest: Digest) -> asyncio.Task[None]:
        task = asyncio.create_task(self._seek(digest), name=f"site cache {digest[:19]}")
        self._sought[digest] = task
        task.add_done_callback(lambda _: self._sought.pop(digest, None))
        return task

    async def _seek(self, digest: Digest) -> None:
        try:
            if self._size(digest) is None:
                await self._look(digest)
            size = self._size(digest)
            if size is None:
                return
            self._wanted(digest)
            await self.pulls.pull(digest, size)
            if digest in self._manifests:
                await self._know({})
        except LongshoreError as error:
            log.warning("the site cache does not have %s…: %s", digest[:19], error)
        except Exception:  # the root of a task: a mistake of ours costs whoever asked a look elsewhere
            log.exception("the site cache made a mistake with %s…", digest[:19])


def _sizes(listing: Listing | None) -> dict[Digest, int]:
    return {} if listing is None else {listing.digest: listing.size}
