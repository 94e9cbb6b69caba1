"""One deployment's releases on this box: which is loaded, which answers, which answered before.

The rules of agent.update.serving hold: at most one release answers, one did before it, one is a candidate; what
answers is not touched by what a candidate does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.offload.ladder import Facts, Ladder
from agent.pipeline.health import Health
from agent.pipeline.loaded import Loaded
from agent.pipeline.run import LaneRunner
from agent.ports import Warmed
from agent.types import Problem
from protos.ids import CameraName, DeploymentName, Digest

FORGIVEN_FALLS = 2  # of its worker meanwhile: somebody may have killed it, and a refusal is for good; three are its own


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
    def releases(self) -> list[Loaded]:
        return [one for one in (self.candidate, self.current, self.previous, self.shadow) if one is not None]

    @property
    def loaded(self) -> list[Loaded]:
        """Every engine: each size of each release for itself."""
        return [each for one in self.releases for each in one.sizes]

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
        """The release that answers neither failed its frames nor kept felling a worker since it does."""
        return self.health.good and (self.current is None or self.current.restarts <= FORGIVEN_FALLS)

    @property
    def ready(self) -> bool:
        """A worker of the release that answers is there."""
        return self.current is not None and any(each.engine.ready for each in self.current.sizes)

    @property
    def whole(self) -> bool:
        """All of them are."""
        return self.current is not None and self.current.ready

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
        return next((one for one in self.releases if one.digest == digest), None)

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
        declined = self.warmed.declined
        provider = "cpu" if declined else wanted
        lowering = self.runner.lowering
        return Facts(
            wanted=wanted,
            provider=provider if self.ready else "",
            cloud=self.runner.lane.there.helps,
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
