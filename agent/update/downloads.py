"""Fetching by the rules of each deployment: held while they say so, and paced (agent.update.download decides).

Rules that hold here: a window that closes ends a fetch after a whole chunk, which is kept. Deployments with a cap that
pull at the same time get an equal part of their own cap each: no one takes more than its cap, and all together no more
than the widest. A repair, of what answered here before and does not any more, waits for nothing and keeps to the cap.
When a release was first needed outlasts a restart, or a box that is often started again would never get its turn.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import msgspec

from agent.errors import Held
from agent.ports import BlobSource, Clock, StateStore
from agent.update import download
from agent.update.download import FREE, Download
from agent.update.steps import Ports
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest

log = logging.getLogger(__name__)

PREFIX = "needed/"
_MOST_REMEMBERED = 4  # releases of a deployment: what it is to run, its shadow, and those before


@dataclass
class Downloads:
    """Of one box. `plan` takes the rules, `of` gives ports that keep to them.

    `offset`: seconds by which the box's clock is behind the control plane's.
    """

    clock: Clock
    state: StateStore
    node_id: str = ""
    offset: Callable[[], float] = lambda: 0.0
    _rules: dict[DeploymentName, Download] = field(default_factory=dict)
    _pulling: Counter[DeploymentName] = field(default_factory=Counter)
    _due: dict[DeploymentName, float] = field(default_factory=dict)  # monotonic seconds
    _needed: dict[DeploymentName, dict[Digest, float]] = field(default_factory=dict)  # as it is kept

    def plan(self, rules: Mapping[DeploymentName, Download]) -> set[DeploymentName]:
        """All that is wanted here; those whose rules changed, and may go on now."""
        changed = {name for name, told in rules.items() if told != self._rules.get(name, FREE)}
        gone = self._rules.keys() - rules.keys()
        self._rules = dict(rules)
        for name in changed | gone:
            self._due.pop(name, None)
        for name in gone:
            self._remember(name, {})
        return changed

    def of(self, ports: Ports, deployment: DeploymentName, release: Digest | None) -> Ports:
        """To pull `release` with; None: a repair."""
        return replace(ports, source=_Source(self, ports.source, deployment, release))

    async def fetch(
        self, source: _Source, digest: Digest, offset: int, stop: int | None
    ) -> AsyncGenerator[bytes, None]:
        """See the port. Raises Held, too: what was yielded is good to keep."""
        name = source.deployment
        self._check(source)
        self._pulling[name] += 1
        try:
            await self._wait(name)
            async with aclosing(source.behind.fetch(digest, offset, self._rate(name), stop=stop)) as chunks:
                async for chunk in chunks:
                    self._count(name, len(chunk))
                    yield chunk
                    self._check(source)
                    await self._wait(name)
        finally:
            self._pulling[name] -= 1

    async def table(self, source: _Source, digest: Digest, most: int) -> bytes | None:
        """See the port. Small, so it is held as files are and not paced. Raises Held, too."""
        self._check(source)
        return await source.behind.table(digest, most)

    def _check(self, source: _Source) -> None:
        """Raises Held."""
        rules, release = self._of(source.deployment), source.release
        if rules == FREE or release is None:
            return
        now = self.clock.unix() + self.offset()
        since = self._since(source.deployment, release, now) if rules.jitter else now
        held = download.hold(rules, download.share(self.node_id, source.deployment), since, now)
        if held:
            raise Held(held.reason, held.seconds)

    def _count(self, name: DeploymentName, came: int) -> None:
        rate = self._rate(name)
        if rate:
            now = self.clock.monotonic()
            self._due[name] = download.paced(self._due.get(name, now), came, rate, now)

    def _rate(self, name: DeploymentName) -> float:
        """Its part of its cap, while it pulls; 0: no cap."""
        sharing = sum(count > 0 for other, count in self._pulling.items() if self._of(other).bytes_per_second)
        return self._of(name).bytes_per_second / max(1, sharing)

    async def _wait(self, name: DeploymentName) -> None:
        seconds = self._due.get(name, 0.0) - self.clock.monotonic()
        if seconds > 0 and self._of(name).bytes_per_second:
            await self.clock.sleep(seconds)

    def _of(self, name: DeploymentName) -> Download:
        return self._rules.get(name, FREE)

    # ---- when a release was first needed ----

    def _since(self, name: DeploymentName, release: Digest, now: float) -> float:
        known = self._remembered(name)
        if release not in known:
            known = dict([*known.items(), (release, now)][-_MOST_REMEMBERED:])
            self._remember(name, known)
        return known[release]

    def _remembered(self, name: DeploymentName) -> dict[Digest, float]:
        if name not in self._needed:
            try:
                kept = msgspec.json.decode(self.state.get(PREFIX + name) or b"{}", type=dict[Digest, float])
            except msgspec.MsgspecError:
                kept = {}
            self._needed[name] = kept
        return self._needed[name]

    def _remember(self, name: DeploymentName, needed: dict[Digest, float]) -> None:
        self._needed[name] = needed
        try:
            if needed:
                self.state.put(PREFIX + name, msgspec.json.encode(needed))
            else:
                self.state.delete(PREFIX + name)
        except LongshoreError as error:  # then a restart begins the wait anew
            log.warning("%s: when its release was needed first is not kept: %s", name, error)


@dataclass(frozen=True)
class _Source:
    """See agent.ports.BlobSource."""

    downloads: Downloads
    behind: BlobSource
    deployment: DeploymentName
    release: Digest | None

    def fetch(
        self, digest: Digest, offset: int, _rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        return self.downloads.fetch(self, digest, offset, stop)

    async def table(self, digest: Digest, most: int) -> bytes | None:
        return await self.downloads.table(self, digest, most)
