"""A release with its engines: one for each size of its model that this box runs.

Rules that hold here: the first is the largest that loaded, and is what callers other than cameras ask; all look at the
same pictures, so that one fitted frame suits each; a release is closed, attached and judged as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agent.config import AgentConfig
from agent.pipeline.run import ONE_SIZE, ActiveRelease
from agent.pipeline.worth import profile
from agent.ports import CloudModel, Engine, EngineSpec
from agent.providers import for_variant
from agent.types import ModelInput, Tap
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.ids import Digest
from protos.manifest import FULL, Variant


@dataclass(frozen=True)
class Loaded:
    """A release with its engine worker, and those of the lighter sizes beside it."""

    release: VerifiedRelease
    engine: Engine
    variant: str = ""  # name of the one that the engine runs
    size: str = ""  # that this is of; "": of the only one, or the full one
    lighter: tuple[Loaded, ...] = ()
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
    def sizes(self) -> list[Loaded]:
        """Each engine for itself, the largest first."""
        return [replace(self, lighter=()), *self.lighter]

    @property
    def name(self) -> str:
        """Of its size, as people know it."""
        several = any(variant.size for variant in self.release.manifest.variants)
        return self.size or (FULL if several else ONE_SIZE)

    @property
    def active(self) -> ActiveRelease:
        manifest = self.release.manifest
        model = CloudModel(manifest.name, manifest.version, manifest.labels)
        sizes = {each.name: each for each in sorted(self.sizes, key=lambda each: each.engine.profile[0][1])}
        told = profile(manifest.judged, self.variant, {name: each.variant for name, each in sizes.items()})
        engines = {name: each.engine for name, each in sizes.items()}
        return ActiveRelease(self.digest, self.engine, model, self.pixels, told, engines)

    @property
    def ready(self) -> bool:
        """All its workers are there."""
        return all(each.engine.ready for each in self.sizes)

    @property
    def restarts(self) -> int:
        """Of the worker that fell most often."""
        return max(each.engine.restarts for each in self.sizes)


def together(sizes: list[Loaded]) -> Loaded:
    """One release of these, the largest first."""
    first, *lighter = sizes
    return replace(first, lighter=tuple(lighter))


def spec(loaded: Loaded, variant: Variant, model: VerifiedBytes, config: AgentConfig) -> EngineSpec:
    """What its engine is to load."""
    manifest = loaded.release.manifest
    given = manifest.input
    return EngineSpec(
        digest=loaded.digest,
        task=manifest.task,
        labels=manifest.labels,
        input=ModelInput(given.height, given.width, given.fit, given.pad) if given else None,
        model=model,
        provider=for_variant(config.provider, variant.precision),
        threads=config.threads,
        precision=variant.precision,
    )
