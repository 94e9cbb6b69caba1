"""One deployment's releases on this box: which is loaded, which answers, which answered before.

The rules of agent.update.serving hold: at most one release answers, one did before it, one is a candidate; what
answers is not touched by what a candidate does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.offload.breaker import BreakerState
from agent.offload.ladder import Facts, Ladder
from agent.pipeline.health import Health
from agent.pipeline.run import ActiveRelease, LaneRunner
from agent.pipeline.worth import profile
from agent.ports import CloudModel, Engine, Warmed
from agent.types import ModelInput, Problem, Tap
from agent.update.verify import VerifiedRelease
from protos.ids import CameraName, DeploymentName, Digest

FORGIVEN_FALLS = 2  # of its worker meanwhile: somebody may have killed it, and a refusal is for good; three are its own


@dataclass(frozen=True)
class Loaded:
    """A release with its engine worker."""

    release: VerifiedRelease
    engine: Engine
    variant: str = ""  # name of the one that the engine runs
    attached: dict[Tap, int] = field(default_factory=dict, compare=False)  # the memory each tap lies in

    @property
    def digest(self) -> Digest:
        return self.release.digest

    @property
    def pixels(self) -> ModelInput | None:
        """What frames must look like, or None for a model that takes no camera."""
        given = self.release.manifest.input
        if given is None or self.release.manifest.task != "detection":
            return None
        return ModelInput(given.height, given.width, given.fit, given.pad)

    @property
    def active(self) -> ActiveRelease:
        manifest = self.release.manifest
        model = CloudModel(manifest.name, manifest.version, manifest.labels)
        told = profile(manifest.judged, self.variant)
        return ActiveRelease(self.digest, self.engine, model, self.pixels, told)


@dataclass
class Stand:
    """A deployment's place on the box."""

    runner: LaneRunner
    cameras: tuple[CameraName, ...] = ()
    candidate: Loaded | None = None
    current: Loaded | None = None
    previous: Loaded | None = None
    shadow: Loaded | None = None  # seen by nobody; see agent.pipeline.shadow
    ladder: Ladder = field(default_factory=Ladder)

    @property
    def loaded(self) -> list[Loaded]:
        return [one for one in (self.candidate, self.current, self.previous, self.shadow) if one is not None]

    @property
    def health(self) -> Health:
        """Of the release that answers, since it does."""
        return self.runner.active.health if self.runner.active else Health()

    @property
    def health_before(self) -> Health | None:
        """Of the release that answered before it, if that waits here."""
        return self.runner.before.health if self.previous is not None and self.runner.before else None

    @property
    def warmed(self) -> Warmed:
        """Of the release that answers."""
        return self.current.engine.warmed if self.current else Warmed()

    @property
    def behaves(self) -> bool:
        """The release that answers neither failed its frames nor kept felling its worker since it does."""
        return self.health.good and (self.current is None or self.current.engine.restarts <= FORGIVEN_FALLS)

    @property
    def ready(self) -> bool:
        """The worker of the release that answers is there."""
        return self.current is not None and self.current.engine.ready

    def unfit(self, shadow: Loaded) -> str:
        """Why no frame can be shown to it as well as to the release that answers, or ""."""
        if shadow.pixels is None:
            return "it finds no boxes on cameras' frames, so there is nothing to compare"
        if self.current is not None and shadow.pixels != self.current.pixels:
            return "it looks at pictures of another size or fit than the release that answers, so no frame suits both"
        return ""

    def spoilt(self, name: DeploymentName) -> Problem:
        """Of a release whose answers are no numbers; `name`: its deployment's."""
        manifest = self.current.release.manifest if self.current else None
        release = f"{manifest.name} {manifest.version}" if manifest else "its release"
        return Problem(
            "not-a-number",
            f"{name}: {release} answered {self.health.not_a_number} frames with NaN or infinity since it runs here; "
            "they end as errors; deploy another release",
        )

    def find(self, digest: Digest) -> Loaded | None:
        return next((one for one in self.loaded if one.digest == digest), None)

    def promote(self, digest: Digest) -> None:
        """The candidate answers from the next frame on; what answered waits, loaded."""
        assert self.candidate is not None, f"swap without a candidate: {digest}"
        self.previous, self.current, self.candidate = self.current, self.candidate, None
        self._answer()

    def demote(self) -> Loaded | None:
        """The one before answers again; the fallen one, to be closed."""
        fallen, self.current, self.previous = self.current, self.previous, None
        self._answer()
        return fallen

    def _answer(self) -> None:
        if self.current is None:
            self.runner.idle()
        else:
            self.runner.use(self.current.active)

    def facts(self, wanted: str) -> Facts:
        """What the ladder goes by; `wanted`: provider that was asked for. A model falls back on the CPU."""
        there, declined = self.runner.lane.there, self.warmed.declined
        provider = "cpu" if declined else wanted
        helps = there.allowed and there.breaker.state is BreakerState.CLOSED
        lowering = self.runner.lowering
        return Facts(
            wanted=wanted,
            provider=provider if self.ready else "",
            cloud=helps,
            lowered=len(lowering.rates),
            lowest=lowering.said,
            declined=declined,
        )

    def pace(self, configured: Mapping[CameraName, float], now: float) -> dict[CameraName, float]:
        """Frames a second that its cameras give at most, when it is time to say so again; inf: as `configured`."""
        lowering = self.runner.lowering
        if not lowering.due(now):
            return {}
        own = {camera: configured[camera] for camera in self.cameras if camera in configured}
        lowering.step(own, now)
        return {camera: lowering.rates.get(camera, math.inf) for camera in own}
