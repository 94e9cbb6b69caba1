"""Candidates that are to be compared with what answers: fetched, proven and loaded beside it.

Nothing of them is on record: after a start they are fetched again, as far as they are not on disk. One that is refused
is not tried again until another is wanted; everything else is, ever more patiently. What answers is never touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.errors import Damaged, Held
from agent.ports import Clock
from agent.supervise import Tasks, first_of, in_thread
from agent.trust.errors import NotApproved
from agent.update import steps
from agent.update.backoff import Backoff
from agent.update.downloads import Downloads
from agent.update.hindrance import Hindrance
from agent.update.sizes import check_memory
from agent.update.variants import decided
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import DeploymentName, Digest
from protos.manifest import Variant

log = logging.getLogger(__name__)

INSTEAD = "; let it run less, or end the comparison"


class Shadowing(Protocol):
    """What this asks of the part that runs engines."""

    async def shadow(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> None:
        """Load it in the shadow of what answers, in place of the one before. Raises what `Serving.warm` raises."""
        ...

    async def unshadow(self, deployment: DeploymentName) -> None:
        """Close the one of this deployment. No error when it has none."""
        ...


@dataclass
class _Wanted:
    digest: Digest
    task: asyncio.Task[None] | None = None
    message: str = "is being fetched"  # completes "it …"; empty: it is loaded


@dataclass
class Shadows:
    """One task per deployment that has one. `offer` may be called as often as anybody likes."""

    ports: steps.Ports
    shadowing: Shadowing
    clock: Clock
    downloads: Downloads
    changed: Callable[[], None] = lambda: None
    backoff: Callable[[], Backoff] = Backoff
    _wanted: dict[DeploymentName, _Wanted] = field(default_factory=dict)
    _tasks: Tasks = field(default_factory=Tasks)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, wanted: Mapping[DeploymentName, Digest]) -> None:
        """All that desired state wants compared here."""
        for name in self._wanted.keys() - wanted.keys():
            self._begin(name, None)
        for name, digest in wanted.items():
            if name not in self._wanted or self._wanted[name].digest != digest:
                self._begin(name, digest)

    def wake(self) -> None:
        """Newer metadata was proven: those that wait try again."""
        self._woken.set()

    @property
    def releases(self) -> list[Digest]:
        """Those whose files must stay."""
        return [each.digest for each in self._wanted.values()]

    @property
    def messages(self) -> dict[DeploymentName, str]:
        """Why each does not see frames yet; empty where it does."""
        return {name: each.message for name, each in self._wanted.items()}

    def digest(self, name: DeploymentName) -> Digest:
        return self._wanted[name].digest

    async def close(self) -> None:
        await self._tasks.stop()

    def _begin(self, name: DeploymentName, digest: Digest | None) -> None:
        """Another one, or None, instead of the one before, whose task ends first."""
        before = self._wanted.pop(name, None)
        after = _Wanted(digest) if digest else None
        task = self._tasks.once(f"shadow of {name}", self._follow(name, before, after))
        if after is not None:
            after.task, self._wanted[name] = task, after

    async def _follow(self, name: DeploymentName, before: _Wanted | None, after: _Wanted | None) -> None:
        if before is not None and before.task is not None:
            before.task.cancel()
            await asyncio.wait([before.task])
        await self.shadowing.unshadow(name)
        if after is not None:
            await self._bring(name, after)

    async def _bring(self, name: DeploymentName, wanted: _Wanted) -> None:
        hindrance = Hindrance(self.backoff())
        while True:
            try:
                await self._load(name, wanted.digest)
            except (Damaged, NotApproved, Retryable, Fatal) as error:  # it passes: bytes, metadata and disks are mended
                wait = hindrance.met(error)
            except Rejected as error:
                self._say(name, wanted, f"was refused: {error}")
                return
            else:
                self._say(name, wanted, "")
                return
            held = isinstance(hindrance.error, Held)
            self._say(name, wanted, str(hindrance.error) if held else f"waits: {hindrance.error}")
            self._woken.clear()
            await first_of(self.clock.sleep(wait), self._woken.wait())

    async def _load(self, name: DeploymentName, digest: Digest) -> None:
        approval = await steps.approve(self.ports, name, digest, shadow=True)
        ports = self.downloads.of(self.ports, name, digest)
        await steps.pull(ports, approval, lambda *_: None)
        release = await steps.verify(self.ports, approval)
        known = self.ports.measured.get(digest, {})
        variant = decided(release.manifest.variants, self.ports.provider, known)
        entry = release.manifest.file(variant.file)
        check_memory(self.ports.free_memory(), entry.size, "a second release", INSTEAD)
        await self.shadowing.shadow(name, release, variant, await in_thread(steps.proven, self.ports.releases, entry))

    def _say(self, name: DeploymentName, wanted: _Wanted, message: str) -> None:
        if message != wanted.message:
            log.info("%s: its shadow %s %s", name, wanted.digest[:19], message or "sees frames")
            wanted.message = message
            self.changed()
