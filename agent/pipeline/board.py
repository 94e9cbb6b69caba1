"""What runs on this box: every deployment's lane, its engines, and the cameras that feed them.

The updater asks it to warm, swap, confirm, abandon and remove (agent.update.serving); desired state gives it cameras,
deployments, switches and cloud nodes; capture workers give it frames. It is the one place where all of these meet; each
decision lies elsewhere (`lane`, `offload.policy`, `update.machine`).

A tap's shared memory is attached to every engine of its deployment before frames flow, so a swap moves one reference.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agent.cameras.captured import Captured, PassedOver
from agent.config import AgentConfig
from agent.offload.breaker import Breaker
from agent.offload.cost import CostLine
from agent.offload.decisions import Decision
from agent.offload.ladder import LOOK_SECONDS
from agent.offload.standing import Standing
from agent.offload.terms import Terms
from agent.pipeline import standing
from agent.pipeline.accounts import Accounts
from agent.pipeline.health import unfit_on_trial, unfit_when_warmed
from agent.pipeline.lane import Lane
from agent.pipeline.loaded import Loaded, spec, together
from agent.pipeline.run import ONE_SIZE, Captures, LaneRunner, LaneSettings
from agent.pipeline.shadow import Shadow
from agent.pipeline.stand import Stand
from agent.ports import Clock, CloudInference, Engine
from agent.supervise import Tasks
from agent.types import Finished, Line, ModelInput, Problem, Tap, Zone
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos.errors import LongshoreError, Retryable
from protos.ids import CameraName, DeploymentName, Digest, ModelName, Version
from protos.manifest import Variant
from protos.outcomes import Outcome

log = logging.getLogger(__name__)

FIRST_INFERENCE_SECONDS = 0.05  # until one was measured
HEALTH_SECONDS = 0.2  # between looks while a release is being confirmed
AGAIN_SECONDS = 5.0  # until taps without memory are looked after again
TOLD_SECONDS = 600.0  # that frames answered with what is no number are a problem of the node
LONGEST_ANSWER_SECONDS = 60.0  # of a release being confirmed; an engine gives up a frame that hangs long before


@dataclass(frozen=True)
class CameraWish:
    """A camera as desired state has it."""

    name: CameraName
    source: str = field(repr=False)  # may hold credentials
    rate: float
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    masks: tuple[Zone, ...] = ()  # where motion does not count, and nothing found is told
    look_every: float = 0.0  # seconds, at most, that frames in which nothing moves are passed over; 0: none is


@dataclass(frozen=True)
class ShadowWish:
    """A candidate that sees a share of a deployment's frames; see agent.pipeline.shadow."""

    digest: Digest
    share: float  # 0 to 1


@dataclass(frozen=True)
class DeploymentWish:
    """A deployment as desired state has it."""

    name: DeploymentName
    model: ModelName
    version: Version
    digest: Digest
    cameras: tuple[CameraName, ...]
    settings: LaneSettings
    bits_per_second: float
    shadow: ShadowWish | None = None
    latency_budget: float = 0.0  # seconds of an inference, of the model alone; 0: none


class Board:
    """See the module. Not thread-safe: it lives on the agent's event loop."""

    def __init__(
        self,
        config: AgentConfig,
        clock: Clock,
        captures: Captures,
        make_engine: Callable[[str], Engine],
        report: Callable[[Finished], None],
        make_shadow: Callable[[str], Engine] | None = None,
        decided: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        """`make_shadow`: an engine that takes no core which anything else wants. `decided`: hears of each frame."""
        self._config = config
        self._clock = clock
        self._captures = captures
        self._make_engine = make_engine
        self._make_shadow = make_shadow or make_engine
        self._report = report
        self._decided = decided
        self._stands: dict[DeploymentName, Stand] = {}
        self._wishes: dict[DeploymentName, DeploymentWish] = {}
        self._cameras: tuple[CameraWish, ...] = ()
        self._planned = False
        self._cloud: CloudInference | None = None
        self._slow_down = 0.0
        self._feeding = asyncio.Lock()
        self._attached: set[Tap] = set()
        self._tasks = Tasks()
        self._feeds_again = False  # soon, because a tap has no memory
        self._leaving: set[Tap] = set()  # gone since the last `feed`; a last frame of theirs may still wait

    # ---- desired state ----

    def plan(self, cameras: Iterable[CameraWish], deployments: Iterable[DeploymentWish]) -> None:
        """Cameras and settings as they should be; `feed` makes it so. Which release answers, the updater says."""
        self._planned = True
        self._cameras = tuple(cameras)
        self._wishes = {wish.name: wish for wish in deployments}
        for name, stand in self._stands.items():
            self._configure(stand, self._wishes.get(name))

    async def feed(self) -> None:
        """Bring cameras and taps in line, and every engine to its taps' memory."""
        async with self._feeding:
            taps = self._taps()
            await self._captures.apply(self._cameras, taps)
            await self._detach(self._leaving - taps.keys())
            self._leaving, self._attached = self._attached - taps.keys(), set(taps)
            for stand in list(self._stands.values()):
                for loaded in stand.loaded:
                    await self._attach_all(stand, loaded)
            if not all(map(self._has_memory, taps)) and not self._feeds_again:
                self._feeds_again = True
                self._tasks.once("feed taps without memory", self._feed_again())

    def slow_down(self, seconds: float) -> None:
        """Waiting added to each local inference, of this and every later engine."""
        self._slow_down = seconds
        for stand in self._stands.values():
            for loaded in stand.loaded:
                loaded.engine.slow_down(seconds)

    def offer_cloud(self, cloud: CloudInference | None) -> None:
        self._cloud = cloud
        for stand in self._stands.values():
            stand.runner.offer_cloud(cloud)

    # ---- frames ----

    def arrive(self, captured: Captured) -> None:
        """A due frame lies in its slot. Its deadline counts from capture."""
        stand = self._stands.get(captured.tap.deployment)
        if stand is None:  # its deployment is leaving
            self._captures.release(captured.tap, captured.slot)
            self._report(captured.shed(self._clock.monotonic()))
            return
        stand.runner.arrive(captured.due_in(stand.runner.settings.deadline))

    def still(self, frame: PassedOver) -> None:
        """A due frame in which nothing moved was passed over."""
        stand = self._stands.get(frame.tap.deployment)
        if stand is None:
            self._report(frame.ended(Outcome.SHED, self._clock.monotonic()))
        else:
            stand.runner.still(frame)

    # ---- agent.update.serving.Serving ----

    async def warm(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> float:
        stand = self._stands.get(deployment) or self._new_stand(deployment)
        beside = stand.candidate if variant.size else None  # a lighter size comes beside what is loaded of its release
        if beside is None or beside.digest != release.digest:
            beside, fallen, stand.candidate = None, stand.candidate, None
            await self._close(fallen)
        engine = self._make_engine(f"engine {deployment} {variant.size}".strip())
        made = await self._load(stand, Loaded(release, engine, variant.name, variant.size), variant, model)
        stand.candidate = made if beside is None else together([*beside.sizes, made])
        return engine.profile[0][1]

    async def judge(self, deployment: DeploymentName, digest: Digest) -> dict[str, str]:
        stand, budget = self._stands[deployment], self._budget(deployment)
        assert stand.candidate is not None, f"judged without a candidate: {digest}"
        said = [(each, unfit_when_warmed(each.engine.warmed, budget)) for each in stand.candidate.sizes]
        fit, unfit = [each for each, why in said if why is None], [(each, why) for each, why in said if why is not None]
        if not fit:
            raise unfit[0][1]
        stand.candidate = together(fit)
        for each, _ in unfit:
            await self._close(each)
        return {each.name: str(why) for each, why in unfit}

    async def swap(self, deployment: DeploymentName, digest: Digest) -> None:
        stand = self._stands[deployment]
        stand.promote(digest)
        await self.feed()

    async def confirm(self, deployment: DeploymentName, digest: Digest, seconds: float) -> bool:
        stand = self._stands[deployment]
        behaves = await self._behaves(stand, seconds)
        if unfit := unfit_on_trial(stand.health, stand.warmed, stand.health_before, self._budget(deployment)):
            raise unfit
        if not behaves:
            log.warning("%s: release %s is not healthy: %s", deployment, digest[:19], stand.health)
            return False
        before, stand.previous = stand.previous, None
        stand.runner.settled()
        await self._close(before)
        return True

    async def abandon(self, deployment: DeploymentName, digest: Digest) -> None:
        stand = self._stands.get(deployment)
        if stand is None:
            return
        fallen: Loaded | None
        if stand.candidate is not None and stand.candidate.digest == digest:
            fallen, stand.candidate = stand.candidate, None
        elif stand.current is not None and stand.current.digest == digest:
            fallen = stand.demote()
            await self.feed()
        else:
            return
        await self._close(fallen)
        stand.runner.settled()

    async def remove(self, deployment: DeploymentName) -> None:
        stand = self._stands.pop(deployment, None)
        if stand is None:
            return
        await self.feed()
        await stand.runner.close()
        for loaded in stand.releases:
            await self._close(loaded)

    # ---- agent.update.shadow.Shadowing ----

    async def shadow(
        self, deployment: DeploymentName, release: VerifiedRelease, variant: Variant, model: VerifiedBytes
    ) -> None:
        stand = self._stands.get(deployment)
        if stand is None or stand.current is None:
            raise Retryable("nothing answers here yet that it could be compared with", after_seconds=AGAIN_SECONDS)
        await self.unshadow(deployment)
        if trouble := stand.unfit(Loaded(release, stand.current.engine)):
            raise Retryable(trouble, after_seconds=AGAIN_SECONDS)
        loaded = await self._load(stand, Loaded(release, self._make_shadow(f"shadow {deployment}")), variant, model)
        wish = self._wishes.get(deployment)
        if self._stands.get(deployment) is not stand or wish is None or wish.shadow is None:
            await self._close(loaded)  # it is wanted no more
            return
        stand.shadow = loaded
        stand.runner.shadow = Shadow(loaded.engine, loaded.pixels, wish.shadow.share)

    async def unshadow(self, deployment: DeploymentName) -> None:
        stand = self._stands.get(deployment)
        if stand is not None:
            before, stand.shadow, stand.runner.shadow = stand.shadow, None, None
            await self._close(before)

    # ---- questions ----

    @property
    def shadows(self) -> dict[DeploymentName, Shadow]:
        """Those that are loaded, by deployment."""
        return {name: stand.runner.shadow for name, stand in self._stands.items() if stand.runner.shadow is not None}

    def shadow_trouble(self, deployment: DeploymentName) -> str:
        """Why the one that is loaded sees no frames all the same, or ""."""
        stand = self._stands.get(deployment)
        return stand.unfit(stand.shadow) if stand is not None and stand.shadow is not None else ""

    @property
    def askable(self) -> list[Loaded]:
        """What callers may ask: the releases that answer, then those before them until these are confirmed."""
        stands = self._stands.values()
        found = [*(stand.current for stand in stands), *(stand.previous for stand in stands)]
        return [loaded for loaded in found if loaded is not None]

    @property
    def answering(self) -> dict[DeploymentName, Loaded]:
        """The release that answers, by deployment."""
        return {name: stand.current for name, stand in self._stands.items() if stand.current is not None}

    @property
    def wishes(self) -> list[DeploymentWish]:
        """What desired state wants to answer here."""
        return list(self._wishes.values())

    @property
    def complete(self) -> bool:
        """Some release answers for everything that desired state wants; not before it said what that is."""
        return self._planned and all(
            name in self._stands and self._stands[name].current is not None for name in self._wishes
        )

    @property
    def fed(self) -> set[CameraName]:
        """Cameras whose frames some release answers."""
        return {tap.camera for tap in self._taps()}

    @property
    def accounts(self) -> dict[DeploymentName, Accounts]:
        """Why their last frames went where they went, by deployment."""
        return {name: stand.runner.accounts for name, stand in self._stands.items()}

    def lanes(self) -> dict[DeploymentName, Lane]:
        return {name: stand.runner.lane for name, stand in self._stands.items()}

    @property
    def costs(self) -> dict[DeploymentName, CostLine]:
        """What a call costs, of each deployment that a release answers."""
        return {name: stand.runner.lane.local for name, stand in self._stands.items() if stand.current is not None}

    def look(self, now: float) -> bool:
        """Whether a deployment is on another rung of its ladder now, monotonic."""
        wanted = self._config.provider
        moved = [each.ladder.look(each.facts(wanted), now) for each in self._stands.values()]  # each is looked at
        return any(moved)

    async def watch(self, moved: Callable[[], None]) -> None:
        """For ever: set rates, and tell soon that a deployment has come down its ladder, or up."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            now = self._clock.monotonic()
            self.pace(now)
            if self.look(now):
                moved()

    def pace(self, now: float) -> None:
        """Each camera gives as many frames as its deployments keep up with; said again every two seconds."""
        configured = {camera.name: camera.rate for camera in self._cameras}
        for name, stand in self._stands.items():
            for camera, rate in stand.pace(configured, now).items():
                self._captures.pace(Tap(camera, name), rate)

    def standings(self, now: float) -> dict[DeploymentName, Standing]:
        return {name: standing.of(each.runner.lane, each.ladder, now) for name, each in self._stands.items()}

    @property
    def not_a_number(self) -> dict[DeploymentName, int]:
        """Frames that the release that answers answered with what is no number, since it does."""
        return {name: stand.health.not_a_number for name, stand in self._stands.items()}

    def problems(self) -> list[Problem]:
        """What an operator should see of releases that answer."""
        since = self._clock.monotonic() - TOLD_SECONDS
        told = {name: stand.warmed.declined for name, stand in self._stands.items()}
        return [
            *(stand.spoilt(name) for name, stand in self._stands.items() if stand.health.not_a_number_at > since),
            *(Problem("provider", f"{name}: {declined}") for name, declined in told.items() if declined),
        ]

    async def close(self) -> None:
        await self._tasks.stop(1.0)
        for name in list(self._stands):
            await self.remove(name)

    # ---- inside ----

    async def _load(self, stand: Stand, loaded: Loaded, variant: Variant, model: VerifiedBytes) -> Loaded:
        loaded.engine.slow_down(self._slow_down)
        try:
            await loaded.engine.start(spec(loaded, variant, model, self._config))
            if loaded.engine.warmed.declined:
                log.warning("%s: %s", loaded.release.manifest.name, loaded.engine.warmed.declined)
            await self._attach_all(stand, loaded)
        except BaseException:
            await self._close(loaded)
            raise
        return loaded

    async def _behaves(self, stand: Stand, seconds: float) -> bool:
        """Watch it for `seconds`, and then until every frame it was asked for meanwhile has ended: one that hangs is
        found out so, by the engine's patience or by ours. A worker that fell must be back. Where no frame is asked of
        it, nothing speaks against it.
        """
        now, asked = self._clock.monotonic, 0
        until = now() + seconds
        while now() < until or stand.health.ended < asked or not stand.whole:
            await self._clock.sleep(min(HEALTH_SECONDS, seconds))
            if now() <= until:
                asked = stand.health.asked
            if not stand.behaves or now() > until + LONGEST_ANSWER_SECONDS:
                return False
        return stand.health.proven

    def _budget(self, deployment: DeploymentName) -> float:
        wish = self._wishes.get(deployment)
        return wish.latency_budget if wish else 0.0

    def _new_stand(self, deployment: DeploymentName) -> Stand:
        wish = self._wishes.get(deployment)
        settings = wish.settings if wish else LaneSettings(1.0, 0.3, 80, offload=False)
        guess = CostLine(((1, FIRST_INFERENCE_SECONDS),))
        lane = Lane({ONE_SIZE: guess}, Breaker(), _terms(wish, settings))
        stand = Stand(LaneRunner(lane, settings, self._clock, self._captures, self._report, self._decided))
        self._stands[deployment] = stand
        self._configure(stand, wish)
        return stand

    def _configure(self, stand: Stand, wish: DeploymentWish | None) -> None:
        if wish is None:
            return  # the updater removes it
        stand.cameras = wish.cameras
        masks = {camera.name: camera.masks for camera in self._cameras if camera.masks}
        if (wish.settings, masks) != (stand.runner.settings, stand.runner.masks):
            stand.runner.settings, stand.runner.masks = wish.settings, masks
            stand.runner.look_again()
        stand.runner.lane.agree(_terms(wish, wish.settings))
        stand.runner.offer_cloud(self._cloud)
        if stand.runner.shadow is not None and wish.shadow is not None:
            stand.runner.shadow.share = wish.shadow.share

    def _taps(self) -> dict[Tap, ModelInput]:
        """Every camera × deployment that a loaded release can answer."""
        known = {camera.name for camera in self._cameras}
        return {
            Tap(camera, name): stand.current.pixels
            for name, stand in self._stands.items()
            if stand.current is not None and stand.current.pixels is not None
            for camera in stand.cameras
            if camera in known
        }

    def _has_memory(self, tap: Tap) -> bool:
        try:
            self._captures.slots_fd(tap)
        except Retryable:
            return False
        return True

    async def _feed_again(self) -> None:
        """The box was short of memory or descriptors, or a camera is refused: neither need last."""
        await self._clock.sleep(AGAIN_SECONDS)
        self._feeds_again = False
        await self.feed()

    async def _attach_all(self, stand: Stand, loaded: Loaded) -> None:
        for tap, pixels in self._taps().items():
            if self._stands.get(tap.deployment) is stand and loaded.pixels == pixels:
                await self._attach_one(loaded, tap, pixels)

    async def _attach_one(self, loaded: Loaded, tap: Tap, pixels: ModelInput) -> None:
        try:
            fd, slots = self._captures.slots_fd(tap)
            memory = os.fstat(fd).st_ino  # a descriptor's number may be used again, this may not
            if loaded.attached.get(tap) == memory:
                return
            await loaded.engine.attach(tap, fd, slots, pixels)
            loaded.attached[tap] = memory
        except Retryable as error:
            # The worker is being restarted; it gets its taps again when it is back.
            log.info("%s: %s", tap, error)

    async def _detach(self, gone: set[Tap]) -> None:
        """Engines give back the memory of taps that are fed no more."""
        for tap in gone:
            stand = self._stands.get(tap.deployment)
            if stand is not None:
                stand.runner.drop(tap)
            for loaded in stand.loaded if stand else ():
                loaded.attached.pop(tap, None)
                await loaded.engine.detach(tap)

    async def _close(self, loaded: Loaded | None) -> None:
        for each in loaded.sizes if loaded else ():
            try:
                await each.engine.close()
            except LongshoreError as error:
                log.warning("engine of %s did not end well: %s", each.digest[:19], error)


def _terms(wish: DeploymentWish | None, settings: LaneSettings) -> Terms:
    """What a deployment asks for, with its deadline and what it may send up."""
    uplink = wish.bits_per_second if wish else 0.0
    return replace(settings.terms, deadline=settings.deadline, uplink_bits_per_second=uplink)
