"""What an update acts on, without engines; implements agent.update.serving.Serving and watches its rules.

`answers` says which release answers and with which bytes, at any moment; `history` is every change of it. Breaking
the protocol (two candidates, swapping to what was not warmed) raises AssertionError, which no update code catches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.errors import Unfit
from agent.ports import Clock
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, Digest, digest_of
from protos.manifest import Variant


@dataclass(frozen=True)
class Loaded:
    """An engine: the release it was loaded for, and the hash of the bytes it got."""

    release: Digest
    model: Digest
    lighter: tuple[Digest, ...] = ()  # of the sizes beside it


@dataclass
class _Engines:
    answering: Loaded | None = None
    before: Loaded | None = None
    candidate: Loaded | None = None


@dataclass
class SimServing:
    clock: Clock
    refuses: set[Digest] = field(default_factory=set)  # do not load
    unhealthy: set[Digest] = field(default_factory=set)  # load, answer, then crash
    budget: float = 0.0  # seconds of an inference; 0: none
    takes: dict[Digest, float] = field(default_factory=dict)  # seconds of an inference, when warmed
    takes_on_trial: dict[Digest, float] = field(default_factory=dict)  # and of a frame
    out_of_memory: int = 0  # this many warms fail for now
    short_for: set[Digest] = field(default_factory=set)  # need more memory than there is now
    mistaken: set[Digest] = field(default_factory=set)  # their warm raises what nobody thought of
    trouble: LongshoreError | None = None  # of the box: every warm raises it
    warm_seconds: float = 0.0
    costs: dict[Digest, float] = field(default_factory=dict)  # seconds of an inference, by what was loaded
    warmed: list[Digest] = field(default_factory=list)  # in order
    history: list[tuple[DeploymentName, Digest | None]] = field(default_factory=list)
    during: Callable[[str], None] = lambda _: None  # called at each call's start
    _engines: dict[DeploymentName, _Engines] = field(default_factory=dict)

    def answers(self, deployment: str) -> Digest | None:
        loaded = self._of(DeploymentName(deployment)).answering
        return loaded.release if loaded else None

    def loaded(self, deployment: str) -> list[Loaded]:
        engines = self._of(DeploymentName(deployment))
        return [one for one in (engines.answering, engines.before, engines.candidate) if one]

    async def warm(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> float:
        self.during(f"warm {release.digest}")
        engines = self._of(deployment)
        beside = engines.candidate if variant.size else None
        assert engines.candidate is beside, "a second candidate"
        assert beside is None or beside.release == release.digest, "a size of another release"
        others = {release.manifest.file(each.file).digest for each in release.manifest.variants if each != variant}
        assert digest_of(model) not in others, "the model of another variant"
        if release.digest in self.mistaken:
            raise ValueError("a simulated bug")
        if self.trouble is not None:
            raise self.trouble
        if self.out_of_memory or release.digest in self.short_for:
            self.out_of_memory = max(0, self.out_of_memory - 1)
            raise Retryable("not enough simulated memory")
        if {release.digest, digest_of(model)} & self.refuses:
            raise Rejected("the simulated engine does not load this graph")
        made = digest_of(model)
        lighter = replace(beside, lighter=(*beside.lighter, made)) if beside else None
        engines.candidate = lighter or Loaded(release.digest, made)
        self.warmed.append(made)
        await self._wait(self.warm_seconds)
        return self.costs.get(made, 0.0)

    async def judge(self, deployment: DeploymentName, digest: Digest) -> dict[str, str]:
        engines = self._of(deployment)
        assert engines.candidate is not None, "judged without a candidate"
        assert engines.candidate.release == digest, "another candidate"
        self._afford(digest, self.takes)
        return {}

    async def swap(self, deployment: DeploymentName, digest: Digest) -> None:
        self.during(f"swap {digest}")
        engines = self._of(deployment)
        assert engines.candidate is not None, "swap without a candidate"
        assert engines.candidate.release == digest, "swap to what was not warmed"
        engines.before, engines.answering, engines.candidate = engines.answering, engines.candidate, None
        self._note(deployment)

    async def confirm(self, deployment: DeploymentName, digest: Digest, seconds: float) -> bool:
        self.during(f"confirm {digest}")
        engines = self._of(deployment)
        assert engines.answering is not None
        assert engines.answering.release == digest, "confirm of what does not answer"
        await self._wait(seconds)
        self._afford(digest, self.takes_on_trial)
        if digest in self.unhealthy:
            return False
        engines.before = None
        return True

    async def abandon(self, deployment: DeploymentName, digest: Digest) -> None:
        self.during(f"abandon {digest}")
        engines = self._of(deployment)
        if engines.candidate and engines.candidate.release == digest:
            engines.candidate = None
        if engines.answering and engines.answering.release == digest:
            engines.answering, engines.before = engines.before, None
            self._note(deployment)

    async def remove(self, deployment: DeploymentName) -> None:
        self.during("remove")
        self._engines.pop(deployment, None)
        self._note(deployment)

    def _afford(self, digest: Digest, takes: Mapping[Digest, float]) -> None:
        seconds = takes.get(digest, 0.0)
        if 0 < self.budget < seconds:
            raise Unfit(f"latency-budget: it takes {seconds:g} s of {self.budget:g}", seconds)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self.clock.sleep(seconds)
        else:
            await asyncio.sleep(0)

    def _of(self, deployment: DeploymentName) -> _Engines:
        return self._engines.setdefault(deployment, _Engines())

    def _note(self, deployment: DeploymentName) -> None:
        self.history.append((deployment, self.answers(deployment)))
