"""Acting on a lane's decisions: the only place where frames, engine, capture workers and cloud meet.

A lane decides; this does: it asks the engine, has pictures encoded, asks the cloud, gives slots back, reports ends. A
failure of any of these is an answer to the lane, never an exception that leaves here. Nothing here waits for telemetry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from agent.cameras.captured import CameraPlan, PassedOver
from agent.cameras.region import cut
from agent.door.shares import Partition
from agent.errors import TurnedAway
from agent.inference.errors import NotANumber
from agent.offload.cost import CostLine
from agent.offload.decisions import Decision
from agent.offload.profile import PRIOR, Profile
from agent.offload.terms import Terms
from agent.offload.tuner import SHIPPED, SHIPPED_MODE, Tuner
from agent.pipeline import accounts, zones
from agent.pipeline.accounts import Accounts
from agent.pipeline.actions import Action, Answer, Finish, Infer, Release, SendUp
from agent.pipeline.answers import LastAnswers
from agent.pipeline.health import Health
from agent.pipeline.lane import Lane
from agent.pipeline.lowering import Lowering
from agent.pipeline.shadow import LONGEST_LOOK, Shadow, ShadowTally
from agent.pipeline.tuned import Beside
from agent.ports import Clock, CloudInference, CloudModel, Detections, Engine, InSlot
from agent.types import Box, Finished, Frame, ModelInput, Tap, View, Zone
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import CameraName, Digest
from protos.outcomes import Outcome

log = logging.getLogger(__name__)

T = TypeVar("T")
MISTAKE = Answer(error="the agent made a mistake; its log says which")
LOOK_SECONDS = 2.0  # that a camera with news is looked at on
ONE_SIZE = ""  # of a release whose model comes in no others
JPEG_SIDE = 640  # pixels, the longer side of a picture sent up for a model that does not say what it looks at


class Pixels(Protocol):
    """The capture side, as the pipeline needs it (see agent.cameras.capture)."""

    def release(self, tap: Tap, slot: int) -> None: ...

    def look(self, camera: CameraName, until: float) -> None:
        """Pass over no frame of this camera until then, in monotonic seconds."""
        ...

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:
        """JPEG of the decoded picture behind a slot, its masks painted. Raises Retryable when its worker died."""
        ...


class Captures(Pixels, Protocol):
    """The capture workers, as the board needs them."""

    async def apply(self, cameras: Iterable[CameraPlan], taps: Mapping[Tap, ModelInput]) -> None:
        """Make these cameras run and feed these taps; what did not change is not touched."""
        ...

    def pace(self, tap: Tap, rate: float) -> None:
        """No more of this tap's frames are due than so many a second, evenly spaced; inf: as its camera's plan says."""
        ...

    def slots_fd(self, tap: Tap) -> tuple[int, int]:
        """Descriptor and number of slots of a tap's shared memory."""
        ...


@dataclass(frozen=True)
class ActiveRelease:
    """The release that answers in a lane now."""

    digest: Digest
    engine: Engine
    model: CloudModel
    pixels: ModelInput | None = None  # what its frames are fitted to
    profile: Profile = PRIOR  # what its answers are worth, as its manifest tells
    sizes: Mapping[str, Engine] = field(default_factory=dict)  # cheapest first; empty: `engine` is its only one
    health: Health = field(default_factory=Health, compare=False)

    @property
    def engines(self) -> Mapping[str, Engine]:
        """By size, cheapest first."""
        return self.sizes or {ONE_SIZE: self.engine}

    @property
    def width(self) -> int:
        """Calls that it runs at once, in whatever sizes. A model so short that its worker runs them one after the other
        keeps no larger one from using the cores: in its queue they wait for less than a waking takes.
        """
        return max(engine.width for engine in self.engines.values())

    def asked(self, size: str) -> tuple[str, Engine]:
        """The engine of that size; while its worker is started again, or where it has none, the largest that is there.

        Cameras' frames need not wait for a worker that fell while another can answer them.
        """
        engines = self.engines
        if size in engines and engines[size].ready:
            return size, engines[size]
        there = [(name, engine) for name, engine in engines.items() if engine.ready]
        return there[-1] if there else (size, engines.get(size, self.engine))


@dataclass
class LaneSettings:
    """What desired state says about one deployment; replaced whole when it changes."""

    deadline: float  # seconds from capture
    min_score: float
    jpeg_quality: int
    offload: bool
    classes: frozenset[str] = frozenset()  # labels to keep; empty: all
    terms: Terms = field(default_factory=Terms)  # what answers are worth and may cost

    def chosen(self, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
        """Those that the deployment asks for, wherever they were found."""
        return tuple(box for box in boxes if box.label in self.classes) if self.classes else boxes

    def may_go_up(self, camera: CameraName) -> bool:
        """Whether a cloud node may see its pictures."""
        return self.offload and self.terms.may_leave(camera)


class LaneRunner:
    """One deployment's lane at work."""

    def __init__(
        self,
        lane: Lane,
        settings: LaneSettings,
        clock: Clock,
        pixels: Pixels,
        report: Callable[[Finished], None],
        decided: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        self.lane = lane
        self.accounts = Accounts()
        self.settings = settings
        self.masks: Mapping[CameraName, tuple[Zone, ...]] = {}  # what stands in one is not told
        self.active: ActiveRelease | None = None
        self.shadow: Shadow | None = None
        self.beside = Beside(lane, Tuner(SHIPPED, SHIPPED_MODE))
        self.lowering = Lowering(lane, clock.monotonic())
        self._answers = LastAnswers()
        self._looked_at: dict[CameraName, float] = {}  # until when, as its camera was told last
        self.before: ActiveRelease | None = None
        self._cloud_node = ""  # the last one asked
        self._clock = clock
        self._pixels = pixels
        self._report = report
        self._decided = decided
        self._cloud: CloudInference | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()

    def use(self, active: ActiveRelease) -> None:
        """Swap between two frames: what starts from now on is answered by `active`, whose cost was measured warm."""
        self.before, self.active = self.active, active
        if self.shadow is not None:
            self.shadow.tally = ShadowTally()  # another release to compare with
        self.lane.load({name: CostLine(each.profile) for name, each in active.engines.items()}, active.width)
        self.lane.weigh(active.profile)
        self.look_again()
        self._act(self.lane.tick(self._clock.monotonic()))

    def idle(self) -> None:
        """No release answers from now on; frames are shed or go to the cloud."""
        self.active = None
        self.lane.here.ready = False

    def settled(self) -> None:
        """The release before is closed: nothing may be asked of it any more."""
        self.before = None

    def offer_cloud(self, cloud: CloudInference | None) -> None:
        """What was learned of one node says nothing of another."""
        if cloud is not None and self._cloud_node not in ("", cloud.node_id):
            self.lane.meet_another_cloud()
        if cloud is not None:
            self._cloud_node = cloud.node_id
        self._cloud = cloud
        self.lane.there.allowed = self.settings.offload and cloud is not None

    def arrive(self, frame: Frame) -> None:
        now = self._clock.monotonic()
        self.beside.began(now)
        self.lowering.moved(frame.tap.camera)
        actions = self.lane.arrive(frame, now)
        account = self.lane.accounts[-1]
        account.features.update(accounts.budgets(self.lane, account, now))
        self.accounts.begun(account)
        self._act(actions)

    def still(self, frame: PassedOver) -> None:
        """Nothing moved: it ends with what was answered last. Where nothing was, nobody can tell what it shows."""
        now = self._clock.monotonic()
        self.lowering.still(frame.tap.camera)
        finished = self._answers.still(frame, now)
        if finished is None:
            self._look(frame.tap.camera)
        self._report(finished or frame.ended(Outcome.SHED, now))

    def look_again(self) -> None:
        """What was answered so far is no answer any more."""
        for camera in self._answers.forget():
            self._look(camera)

    def drop(self, tap: Tap) -> None:
        """It feeds this lane no more."""
        self.lane.leave(tap)
        self._answers.drop(tap)
        self._looked_at.pop(tap.camera, None)

    async def close(self) -> None:
        """End every frame, then what still runs."""
        self._act(self.lane.clear(self._clock.monotonic()))
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _act(self, actions: list[Action]) -> None:
        now = self._clock.monotonic()
        self.beside.ended(actions, now)
        self.lowering.seen(actions, now)
        for action in actions:
            match action:
                case Infer(jobs, frames, size):
                    self._spawn(f"infer {frames[0].tap.camera}#{frames[0].seq}", self._infer(jobs, frames, size))
                case SendUp(frame=frame):
                    self._spawn(f"cloud {frame.tap.camera}#{frame.seq}", self._send_up(action))
                case Release(tap, slot):
                    self._pixels.release(tap, slot)
                case Finish(finished):
                    if self._answers.heard(finished):
                        self._look(finished.tap.camera)
                    self._report(finished)
                    self._account(finished)
        self._set_timer()

    def _account(self, finished: Finished) -> None:
        largest = list(self.lane.here.sizes)[-1]
        made = self.accounts.ended(finished, partial(accounts.right, self.lane, finished), largest)
        if made is not None:
            self._decided(made)

    def _look(self, camera: CameraName) -> None:
        """At every frame, for a while; said once in half of that."""
        until = self._clock.monotonic() + LOOK_SECONDS
        if until - self._looked_at.get(camera, 0.0) >= LOOK_SECONDS / 2:
            self._looked_at[camera] = until
            self._pixels.look(camera, until)

    def _kept(self, tap: Tap, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
        """Those that are asked for, and stand in no mask."""
        return zones.outside(self.settings.chosen(boxes), self.masks.get(tap.camera, ()))

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _infer(self, jobs: tuple[int, ...], frames: tuple[Frame, ...], size: str) -> None:
        answers = await _whatever_happens(self._ask_engines(frames, size), [MISTAKE] * len(frames))
        actions = self.lane.local_done(jobs, answers, self._clock.monotonic())
        for frame, answer in zip(frames, answers, strict=True):
            actions = self._shadowed(actions, frame, answer)
        self._act(actions)

    async def _ask_engines(self, frames: tuple[Frame, ...], size: str) -> list[Answer]:
        """In one call, unless a swap has just parted them."""
        active = self._fitting(frames[0])
        if all(self._fitting(frame) is active for frame in frames):
            return await self._ask_engine(active, frames, size)
        return [answer for frame in frames for answer in await self._ask_engine(self._fitting(frame), (frame,), size)]

    async def _ask_engine(self, active: ActiveRelease | None, frames: tuple[Frame, ...], size: str) -> list[Answer]:
        if active is None:
            return [Answer(error="no release answers here yet")] * len(frames)
        wanted = [InSlot(frame.tap, frame.slot, frame.geometry) for frame in frames]
        active.health.asked += len(frames)
        found_in, engine = active.asked(size)
        try:
            found = await _found(engine, wanted, self.settings.min_score)
        finally:
            active.health.ended += len(frames)
        answers = [self._answer(active, frame.tap, each) for frame, each in zip(frames, found, strict=True)]
        return answers if found_in == size else [replace(answer, size=found_in) for answer in answers]

    def _answer(self, active: ActiveRelease, tap: Tap, found: Detections | LongshoreError) -> Answer:
        health = active.health
        if isinstance(found, LongshoreError):
            health.interrupted += isinstance(found, Retryable)
            if isinstance(found, NotANumber):
                health.not_a_number, health.not_a_number_at = health.not_a_number + 1, self._clock.monotonic()
            return Answer(error=str(found))
        health.answered += 1
        health.times.append(found.model_seconds)
        return Answer(self._kept(tap, found.boxes), active.digest, infer_seconds=found.infer_seconds)

    def _shadowed(self, actions: list[Action], frame: Frame, answer: Answer) -> list[Action]:
        """The shadow may look at a frame whose slot would be given back now: then it is, once that has looked."""
        given_back = Release(frame.tap, frame.slot)
        if self.shadow is None or answer.error or given_back not in actions:
            return actions
        if not self.shadow.takes(frame, calm=self.lane.calm):
            return actions
        self._spawn(f"shadow {frame.tap.camera}#{frame.seq}", self._look_in_shadow(self.shadow, frame, answer))
        return [action for action in actions if action != given_back]

    async def _look_in_shadow(self, shadow: Shadow, frame: Frame, answer: Answer) -> None:
        wanted, tally = [InSlot(frame.tap, frame.slot, frame.geometry)], shadow.tally
        try:
            async with asyncio.timeout(LONGEST_LOOK):
                (found,) = await _found(shadow.engine, wanted, self.settings.min_score)
        except TimeoutError:
            found = Retryable("it took too long")
        finally:
            shadow.looked()
            self._pixels.release(frame.tap, frame.slot)
        if isinstance(found, LongshoreError):
            tally.failed += 1
        else:
            own = Detections(self._kept(frame.tap, found.boxes), found.infer_seconds)
            tally.compare(Detections(answer.boxes, answer.infer_seconds), own)

    def _fitting(self, frame: Frame) -> ActiveRelease | None:
        """The release that answers; or the one before, for a frame that was fitted to its input before the swap."""
        active, before = self.active, self.before
        if active is None or before is None or frame.input is None:
            return active
        return before if frame.input == before.pixels != active.pixels else active

    async def _send_up(self, wanted: SendUp) -> None:
        answer = await _whatever_happens(self._ask_cloud(wanted), MISTAKE)
        self._act(self.lane.cloud_done(wanted.job, answer, self._clock.monotonic()))

    async def _ask_cloud(self, wanted: SendUp) -> Answer:
        cloud, active, frame = self._cloud, self.active, wanted.frame
        if cloud is None or active is None:
            return Answer(error="no cloud node is known")
        view = View(wanted.max_side or _side(active), wanted.quality or self.settings.jpeg_quality, wanted.region)
        try:
            shown = cut(wanted.region, frame.geometry.picture_width, frame.geometry.picture_height)
            jpeg = await self._pixels.encode(frame.tap, frame.slot, view)
            now = self._clock.monotonic()
            if not self.settings.may_go_up(frame.tap.camera):  # asked last, whatever was decided and since changed
                return Answer(error="its pictures stay on this box")
            if now >= frame.deadline:
                return Answer(error="encoded too late")
            self._act(self.lane.encoded(wanted.job, len(jpeg), now))
            if not self.lane.goes_up(wanted.job):
                return Answer(error="its picture is larger than what may still go up in this minute")
            partition = Partition.HARD if wanted.hard else Partition.LIVE
            left = frame.deadline - now
            seen = await cloud.detect_jpeg(active.model, jpeg, self.settings.min_score, left, partition)
        except TurnedAway as error:
            return Answer(error=str(error), turned_away=True, retry_after=error.after_seconds or 0.0)
        except LongshoreError as error:
            log.debug("cloud: %s", error)
            return Answer(error=str(error))
        boxes = self._kept(frame.tap, shown.boxes(seen.boxes))
        return Answer(boxes, active.digest, where=cloud.node_id, service_seconds=seen.service_seconds)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self.lane.wake_at
        if wake is not None:
            delay = max(0.0, wake - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._act(self.lane.tick(self._clock.monotonic()))


async def _found(engine: Engine, frames: Sequence[InSlot], min_score: float) -> list[Detections | LongshoreError]:
    """What was seen on each. Frames refused together are asked one by one: none pays for another's fault."""
    try:
        return list(await engine.detect_slots(frames, min_score))
    except Rejected as error:
        if len(frames) == 1:
            return [error]
    except LongshoreError as error:
        return [error] * len(frames)
    return [found for frame in frames for found in await _found(engine, [frame], min_score)]


async def _whatever_happens(asking: Coroutine[Any, Any, T], otherwise: T) -> T:
    """The answer: a lane that never heard of a frame again would hold its slot, and its turn, for ever."""
    try:
        return await asking
    except Exception:  # the root of one call: a bug of ours costs its frames only
        log.exception("a frame failed")
        return otherwise


def _side(active: ActiveRelease) -> int:
    """No more pixels go up than the model looks at: the node would only shrink them."""
    return max(active.pixels.height, active.pixels.width) if active.pixels else JPEG_SIDE
