"""SignedTrust: metadata is refreshed, floors are raised, releases are approved; one thing at a time.

Order that holds here: roots are proven and their floor is kept, then what online keys signed is proven, is on disk for
good, and passes its floors; floors are in both places; only then is it believed. What this box believes lives in memory
alone: after a start it is proven anew. A refresh that was begun goes on when whoever waited for it was cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from agent.ports import Clock
from agent.supervise import first_of, in_thread
from agent.trust import agreement, floors, freshness
from agent.trust.agreement import Approval, Found, Kind
from agent.trust.errors import ClockBehind, Stale, Untrusted
from agent.trust.fetching import Fetching
from agent.trust.freshness import View
from agent.trust.kept import KeptFloors
from agent.trust.metadata import Metadata, MetadataSource
from agent.types import Problem
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest
from protos.trust import Listing

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0
MOST_ROOT_BYTES = 512_000
ANEW_SECONDS = 5.0  # no oftener is metadata asked for because somebody names what it does not know


class FirstRoot(Protocol):
    """The root that this box trusts first (adapter: agent.adapters.trust_files)."""

    def root(self) -> bytes:
        """As kept; empty when there is none yet. Raises Retryable, Fatal."""
        ...

    def keep_root(self, content: bytes) -> None:
        """Atomic and durable. Raises Retryable, Fatal."""
        ...


@dataclass(frozen=True)
class Around:
    """What it deals with. `changed`: called on the loop when newer metadata was proven."""

    metadata: Metadata
    source: MetadataSource
    fetching: Fetching
    floors: KeptFloors
    first_root: FirstRoot
    clock: Clock
    changed: Callable[[], None] = lambda: None


@dataclass
class SignedTrust:
    """See agent.update.trust.Trust."""

    around: Around
    kind: Kind
    rng: random.Random = field(default_factory=random.Random)
    view: View | None = None  # the last; believed while it is `_current`
    obstacle: LongshoreError | None = None  # of the last try
    _current: bool = False
    _away: bool = True  # the last refresh failed, or there was none
    _spread: float = 0.5
    _hint: int = 0
    _answered: int = 0  # the highest hint that a refresh has followed
    _failures: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _running: set[asyncio.Task[Any]] = field(default_factory=set)

    def hint(self, version: int) -> None:
        """A Sync was answered: metadata can be asked for, and the newest timestamp may be of this version."""
        self._hint = version
        if self.due:
            self._failures = 0
            self._woken.set()

    @property
    def due(self) -> bool:
        """Would `run` look now, were it not for a wait after a failure?"""
        return self._seconds_left() <= 0.0 and self.around.source.ready

    async def approved(self, deployment: DeploymentName, digest: Digest, *, shadow: bool = False) -> Approval:
        """See the port."""
        return await self._apart(self._approved(deployment, digest, shadow=shadow))

    async def listed(self, digest: Digest, *, anew: bool = False) -> Listing | None:
        """Of the manifest of this digest: listed, and assigned to any deployment of the fleet; None: it is not both.

        `anew`: what does not know it is refreshed first, for which ANEW_SECONDS are waited since it was last. Raises as
        `approved`.
        """
        listing = await self._apart(self._listed(digest, math.inf))
        if listing is None and anew:
            await self.around.clock.sleep(min(ANEW_SECONDS, max(0.0, ANEW_SECONDS - self._age())))
            listing = await self._apart(self._listed(digest, ANEW_SECONDS / 2))
        return listing

    async def refresh(self) -> None:
        """Prove the newest metadata there is, now. Raises Retryable, Stale, Untrusted, Fatal."""
        async with self._turn:
            await self._refresh()

    async def run(self) -> None:
        """Refresh when it is due, until cancelled."""
        while True:
            self._woken.clear()
            if self.due and not await self._looked():
                await self._pause(self._patience())
                continue
            left = self._seconds_left()
            await self._pause(max(1.0, left) if left > 0.0 or self.around.source.ready else LONGEST_RETRY_SECONDS)

    async def close(self) -> None:
        self.around.fetching.close()
        if self._running:
            await asyncio.wait(self._running)

    def problems(self) -> list[Problem]:
        """What an operator should see and can mend, of the last try."""
        codes = {ClockBehind: "clock-behind", Stale: "metadata-expired", Untrusted: "metadata-refused"}
        found = next((code for kind, code in codes.items() if isinstance(self.obstacle, kind)), None)
        if found:
            return [Problem(found, str(self.obstacle))]
        expires = self.view.expires if self.view else {}
        old = freshness.aged(expires, self.around.floors.now.signed, self.around.clock.unix())
        return [Problem("metadata-old", old)] if old else []

    def proven(self) -> View:
        """What was last proven, by this process or, as far as floors tell, by one before it."""
        kept = self.around.floors.now
        return self.view or View(kept.root, kept.timestamp, 0.0, {})

    # ---- inside ----

    async def _approved(self, deployment: DeploymentName, digest: Digest, *, shadow: bool) -> Approval:
        async with self._turn:
            if self._seconds_left() <= 0.0:
                await self._refresh()
            try:
                found = await self._found(deployment, shadow=shadow)
            except LongshoreError as error:
                self._current, self.obstacle = False, error
                raise
            return agreement.approved(found, digest, self.kind)

    async def _listed(self, digest: Digest, oldest: float) -> Listing | None:
        """By metadata that is refreshed first when it is as many seconds old."""
        async with self._turn:
            if self._seconds_left() <= 0.0 or self._age() >= oldest:
                await self._refresh()
            listing, expires = await in_thread(self.around.metadata.listed, digest)
            self._check_with(expires)
            return listing

    def _age(self) -> float:
        """Seconds since metadata was proven."""
        return self.around.clock.unix() - self.view.refreshed if self.view else math.inf

    async def _found(self, deployment: DeploymentName, *, shadow: bool) -> Found:
        """What is still fresh, with the floor of its model kept."""
        kept = self.around.floors
        found, expires = await in_thread(self.around.metadata.find, deployment, shadow=shadow)
        self._check_with(expires)
        if found.assignment is None:
            return found
        model = found.assignment.model
        kept.keep(floors.with_release(kept.now, model, found.floor))
        return replace(found, floor=kept.now.releases.get(model, 0))

    def _check_with(self, expires: Mapping[str, float]) -> None:
        """And with what was proven before."""
        self._check({**(self.view.expires if self.view else {}), **expires})

    def _check(self, expires: Mapping[str, float]) -> None:
        now = self.around.clock.unix()
        freshness.check_clock(self.around.floors.now.signed, now)
        freshness.check(expires, now)

    async def _looked(self) -> bool:
        """Did it go well? Whatever metadata makes of the library, the agent goes on."""
        try:
            await self._apart(self._refreshed())
        except LongshoreError as error:
            log.info("signed metadata: %s", error)
        except Exception:  # a supervised root: what others sign must not end the agent
            log.exception("signed metadata could not be read")
        else:
            return True
        return False

    async def _refreshed(self) -> None:
        async with self._turn:
            if self.due:
                await self._refresh()

    async def _refresh(self) -> None:
        hint = self._hint
        try:
            await self._prove()
        except LongshoreError as error:
            self._away, self.obstacle = True, error
            raise
        finally:
            self._failures += 1
        self.obstacle, self._failures = None, 0
        self._answered = max(self._answered, hint)

    async def _prove(self) -> None:
        around, stood, self._current = self.around, self.view, False
        roots = await in_thread(around.metadata.roots, await self._first())
        kept = floors.rooted(around.floors.now, roots)
        if kept.since != around.floors.now.since:
            await in_thread(around.metadata.forget_online)
        around.floors.keep(kept)
        expires = await self._raise_floors()
        self._check(expires)
        self.view = View(kept.root, around.floors.now.timestamp, around.clock.unix(), expires)
        self._current, self._spread = True, self.rng.random()
        # Nobody is woken for what was known: two deployments that find nothing would wake each other without end.
        if stood is None or self._away or stood.timestamp != self.view.timestamp:
            self._away = False
            log.info("signed metadata: version %d under root %d", self.view.timestamp, self.view.root)
            around.changed()

    async def _raise_floors(self) -> Mapping[str, float]:
        """What was proven is not below them; when each file expires."""
        proven = await in_thread(self.around.metadata.refresh)
        try:
            kept = floors.raised(self.around.floors.now, proven.seen)
        except Untrusted:
            await in_thread(self.around.metadata.forget_online)
            raise
        self.around.floors.keep(kept)
        return proven.expires

    async def _first(self) -> bytes:
        """The root trusted first. A box that joined before there was any takes one, once, from its control plane."""
        kept = self.around.first_root.root()
        if not kept and self.around.floors.now.root:
            raise Untrusted("the root that this box trusted is gone, and it takes none twice; join this box again")
        if not kept:
            kept = await self.around.source.get("root.json", MOST_ROOT_BYTES)
            await in_thread(self.around.metadata.roots, kept)
            self.around.first_root.keep_root(kept)
        return kept

    def _seconds_left(self) -> float:
        """Until metadata is to be refreshed."""
        if self.view is None or not self._current or self._hint > max(self.view.timestamp, self._answered):
            return 0.0
        return freshness.look_again(self.view, self._spread) - self.around.clock.unix()

    def _patience(self) -> float:
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 20))
        return longest * self.rng.uniform(0.8, 1.2)

    async def _pause(self, seconds: float) -> None:
        await first_of(self.around.clock.sleep(seconds), self._woken.wait())

    async def _apart(self, work: Coroutine[Any, Any, T]) -> T:
        """Its end. Cancelling whoever waits does not end it: a thread may be in the middle of its files."""
        task = asyncio.create_task(work, name="signed metadata")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)
