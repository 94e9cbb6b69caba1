"""Cameras as the agent's main process has them: which run, how they are, and where their frames lie.

Level-triggered: `apply` is told everything that should be and touches only what differs; the same convergence runs
after a worker's death. No pixels, no cv2, av or numpy here. Everything lives on the agent's event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from agent.cameras import messages, placement, spec
from agent.cameras.calls import Calls
from agent.cameras.captured import CameraPlan, Captured, PassedOver
from agent.cameras.group import Group
from agent.cameras.ledger import Ledger
from agent.cameras.lender import Lender
from agent.cameras.needs import Needs
from agent.cameras.roster import Camera, Feed, place
from agent.cameras.stats import CameraStats
from agent.ports import Clock
from agent.supervise import Tasks
from agent.types import Box, CameraState, ModelInput, Tap, View, Zone
from agent.workers.memory import SharedSlots
from agent.workers.restarts import RestartBudget
from protos.errors import Rejected, Retryable
from protos.ids import CameraName
from sandbox.report import Confined

__all__ = ["CameraPlan", "CameraStats", "Captured", "Captures"]

SLOTS = 4  # frames of a tap in shared memory
WATCH_SECONDS = 2.0  # between looks for silent workers
EXHAUSTED_SECONDS = 60.0  # before the next try when a worker's restart budget is spent
RETIRED = 256  # memories whose last words are still understood

log = logging.getLogger(__name__)


class Captures:
    """All cameras of this box.

    What a caller can rely on:

    * Every due frame of a tap is reported exactly once: by `on_frame`, by `on_still` where nothing moves in it and the
      camera's plan lets such frames be passed over, or in a count of `on_superseded`. Its number is one higher than the
      last, also across a worker's death. Their sum is the number of frames due at its rate (`pace`). Only a frame that
      was under way when its memory was taken away has no number; it is counted as superseded.
    * A slot told by `on_frame` is the caller's until `release`, whatever happens to the worker: **a worker's death
      takes no announced frame away**. Its pixels stay where they are, the memory behind `slots_fd` stays the same, and
      nothing needs to be attached again. Only `encode` of such a frame raises Retryable from then on.
    * A tap's memory is made in `apply` and changes only if its ModelInput does; from the moment `apply` returns,
      `slots_fd` gives the new one and every frame told lies in it.
    * `on_health` comes with every change of a camera's state, reason or refusal, and says all about the camera.
    * Callbacks run on the event loop and must not block.
    """

    def __init__(
        self,
        clock: Clock,
        on_frame: Callable[[Captured], None],
        on_superseded: Callable[[Tap, int], None],
        on_health: Callable[[CameraName, CameraStats], None],
        slots: int = SLOTS,
        rng: random.Random | None = None,
        on_confined: Callable[[Confined], None] = lambda _: None,
        on_still: Callable[[PassedOver], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._on_frame = on_frame
        self._on_superseded = on_superseded
        self._on_health = on_health
        self._on_confined = on_confined
        self._on_still = on_still
        self._slots = slots
        self._rng = rng or random.Random()  # noqa: S311 - spreads restarts
        self._cameras: dict[CameraName, Camera] = {}
        self._refused: dict[CameraName, str] = {}
        self._feeds: dict[Tap, Feed] = {}
        self._numbers = itertools.count(1)
        self._by_number: dict[int, Feed] = {}
        self._retired: dict[int, Tap] = {}  # by number: whose memory that was
        self._ledger = Ledger()
        self._groups: dict[int, Group] = {}
        self._resting: set[int] = set()  # groups that wait for their restart
        self._strikes = placement.Strikes()
        self._calls = Calls()
        self._lender = Lender()
        self._paused = False
        self._closed = False
        self._converging = asyncio.Lock()
        self._tasks = Tasks()
        self._watching: asyncio.Task[None] | None = None

    # ---- what should be ----

    async def apply(self, cameras: Iterable[CameraPlan], taps: Mapping[Tap, ModelInput]) -> None:
        """Make these cameras run and feed these taps; what did not change is not touched.

        A plan that makes no sense is refused, visible in the camera's stats; the last good one keeps running. A tap of
        a camera that does not run, or for which the box is short of memory, has none yet (`slots_fd` raises Retryable).
        """
        async with self._converging:
            self._accept(list(cameras))
            self._feed({tap: wanted for tap, wanted in taps.items() if tap.camera in self._cameras})
            await self._converge()

    async def pause(self, paused: bool) -> None:  # noqa: FBT001 - a switch
        """Take no frame from any camera, or go on."""
        async with self._converging:
            self._paused = paused
            await self._converge()

    async def close(self) -> None:
        """End all workers and give all memory back. Safe to call twice."""
        self._closed = True
        await self._tasks.stop(1.0)
        async with self._converging:
            self._feed({})
            self._cameras.clear()
            groups, self._groups = list(self._groups.values()), {}
            await asyncio.gather(*(group.stop() for group in groups))
            self._calls.fail(None, "the agent is stopping")

    # ---- frames and pictures ----

    def slots_fd(self, tap: Tap) -> tuple[int, int]:
        """Descriptor (ours; duplicate it) and number of slots of a tap's memory. Raises Retryable."""
        feed = self._feeds.get(tap)
        if feed is None:
            raise Retryable(f"{tap.camera} does not feed {tap.deployment}")
        return feed.memory.fd, feed.memory.slots

    def release(self, tap: Tap, slot: int) -> None:
        """Give a slot back. Giving back what is not held does nothing."""
        feed, camera = self._feeds.get(tap), self._cameras.get(tap.camera)
        if self._ledger.released(tap, slot) and feed is not None and feed.told and camera is not None:
            camera.post(messages.Release(feed.number, slot))

    def look(self, camera: CameraName, until: float) -> None:
        """Pass over no frame of this camera until then, in monotonic seconds."""
        if camera in self._cameras:
            self._cameras[camera].post(messages.Look(camera, until))

    def pace(self, tap: Tap, rate: float) -> None:
        """No more of this tap's frames are due than so many a second, evenly spaced; inf: as its camera's plan says."""
        feed, camera = self._feeds.get(tap), self._cameras.get(tap.camera)
        if feed is not None and camera is not None:
            camera.pace(feed, rate)

    async def encode(self, tap: Tap, slot: int, view: View) -> bytes:
        """JPEG, at most 150 kB, of the decoded picture behind a held slot. Raises Retryable when it is gone."""
        seq, feed = self._ledger.frame_in(tap, slot), self._feeds.get(tap)
        if seq is None or feed is None:
            raise Retryable(f"the picture of {tap.camera} was given back")
        return (await self._ask(tap.camera, messages.Encode(0, feed.number, slot, seq, view))).jpeg

    async def snapshot(self, camera: CameraName, view: View) -> tuple[bytes, int]:
        """The same of the newest picture, and its time in unix ns. Of several wishes only the newest is answered."""
        taken = await self._ask(camera, messages.Snap(0, camera, view))
        return taken.jpeg, taken.captured_unix_ns

    async def preview(
        self,
        camera: CameraName,
        boxes: Iterable[Box] = (),
        caption: str = "",
        captured_unix_ns: int | None = None,
        zones: Iterable[Zone] = (),
    ) -> bytes:
        """JPEG with masks, boxes, zones, caption: of the picture captured then if it is there still, else the newest.

        Per camera only the newest wish is drawn. An older one that waits, and a camera without a picture: Retryable.
        """
        wish = messages.Draw(0, camera, list(boxes), caption, captured_unix_ns, list(zones))
        return (await self._ask(camera, wish)).jpeg

    async def _ask(self, camera: CameraName, wish: messages.Question) -> messages.Encoded:
        return await self._calls.ask(self._group_of(camera), wish)

    def stats(self) -> dict[CameraName, CameraStats]:
        """How every camera is, those included that were refused and never ran."""
        names = self._cameras.keys() | self._refused.keys()
        return {name: self._stats_of(name) for name in sorted(names)}

    @property
    def worker_pids(self) -> list[int]:
        return [pid for group in self._groups.values() if (pid := group.pid) is not None]

    def hosts(self) -> dict[CameraName, int]:
        """Process id of each camera's worker, where one runs."""
        return {
            name: pid
            for name, camera in self._cameras.items()
            if camera.group in self._groups and (pid := self._groups[camera.group].pid) is not None
        }

    # ---- converging ----

    def _accept(self, plans: list[CameraPlan]) -> None:
        """Take over what is good, remember why the rest is not, forget what is no longer wanted."""
        wanted = {plan.name for plan in plans}
        for name in [*self._cameras, *self._refused]:
            if name not in wanted:
                self._remove(name)
        for plan in plans:
            try:
                spoken = spec.parse(plan.name, plan.source, plan.rate).source
            except Rejected as error:
                self._refuse(plan.name, str(error))
                continue
            self._take_over(plan, spoken)

    def _take_over(self, plan: CameraPlan, spoken: spec.Source) -> None:
        camera = self._cameras.get(plan.name)
        if camera is None:
            self._cameras[plan.name] = Camera(plan, spoken)
        else:
            if camera.plan.source != plan.source:
                self._strikes.forget(plan.name)
            camera.become(plan, spoken)
        if self._refused.pop(plan.name, None) is not None:
            self._tell_health(plan.name)

    def _refuse(self, name: CameraName, why: str) -> None:
        if self._refused.get(name) != why:
            self._refused[name] = why
            log.warning("camera %s: its new settings are refused: %s", name, why)
            self._tell_health(name)

    def _remove(self, name: CameraName) -> None:
        self._refused.pop(name, None)
        self._strikes.forget(name)
        self._lender.forget(name)
        camera = self._cameras.pop(name, None)
        if camera is None:
            return
        camera.post(messages.DropCamera(name))
        self._on_health(name, replace(camera.stats, state=CameraState.REMOVED, reason=""))

    def _feed(self, wanted: Mapping[Tap, ModelInput]) -> None:
        for tap, feed in list(self._feeds.items()):
            if tap not in wanted:
                self._stop_feed(feed)
        for tap, pixels in wanted.items():
            before = self._feeds.get(tap)
            if before is None or before.wanted != pixels:
                self._start_feed(tap, pixels, before)

    def _start_feed(self, tap: Tap, pixels: ModelInput, before: Feed | None) -> None:
        try:
            memory = SharedSlots.create(self._slots, pixels.nbytes)
        except OSError as error:
            log.error("no memory for the frames of camera %s now: %s", tap.camera, error.strerror)
            if before is not None:
                self._stop_feed(before)
            return
        feed = Feed(next(self._numbers), tap, pixels, memory)
        if before is not None:
            feed.instead_of, feed.rate = before.number if before.told else before.instead_of, before.rate
            self._retire(before)
        self._feeds[tap] = self._by_number[feed.number] = feed

    def _stop_feed(self, feed: Feed) -> None:
        camera = self._cameras.get(feed.tap.camera)
        if feed.told and camera is not None:
            camera.post(messages.DropTap(feed.number, feed.tap.camera))
        self._retire(feed)

    def _retire(self, feed: Feed) -> None:
        del self._feeds[feed.tap]
        self._retired[feed.number] = self._by_number.pop(feed.number).tap
        if len(self._retired) > RETIRED:
            del self._retired[next(iter(self._retired))]
        feed.memory.close()

    async def _converge(self) -> None:
        """Bring workers in line with what should be."""
        if self._closed:
            return
        if self._watching is None:
            self._watching = self._tasks.eternal("watch capture workers", self._watch())
        place(self._cameras, self._strikes)
        used = {camera.group for camera in self._cameras.values()}
        await self._start_groups(used)
        for camera in self._cameras.values():
            self._tell_camera(camera)
        for feed in self._feeds.values():
            self._tell_feed(feed)
        for number in self._groups.keys() - used:
            self._resting.discard(number)
            await self._groups.pop(number).stop()

    async def _start_groups(self, used: set[int]) -> None:
        for number in sorted(used):
            needs = Needs.of(camera.spoken for camera in self._cameras.values() if camera.group == number)
            group = self._groups.get(number)
            if group is None or not group.needs.covers(needs):
                budget = await self._end(group) if group else RestartBudget(rng=self._rng)
                group = Group(number, self._clock, self._received, self._died, budget, needs, self._on_confined)
                self._groups[number] = group
            if not group.alive and number not in self._resting:
                await self._start(group)

    async def _end(self, group: Group) -> RestartBudget:
        """Its cameras need what it gave up: another takes its place, with what is left of its budget."""
        self._calls.fail(group, "the picture was lost with its capture worker")
        for camera in self._hosted(group):
            self._forget_told(camera)
        await group.stop()
        return group.budget

    async def _start(self, group: Group) -> None:
        """One that cannot be started now is tried again later, as after a death; the others go on."""
        try:
            await group.start()
        except Retryable as error:
            log.error("%s", error)
            for camera in self._cameras.values():
                if camera.group == group.number:
                    camera.worker_lost = True
                    reason = f"{error}; it is tried again, look at the box's memory and its limit of open files"
                    self._set_health(camera, CameraState.RETRYING, reason, camera.stats.restarts)
            self._rest(group)

    def _tell_camera(self, camera: Camera) -> None:
        group = self._groups[camera.group]
        wish = camera.wish(paused=self._paused)
        if camera.told_by is not group:
            camera.post(messages.DropCamera(camera.name))
            self._forget_told(camera)
        if not camera.knows(wish) and group.post(wish):
            camera.told, camera.told_by = wish, group

    def _tell_feed(self, feed: Feed) -> None:
        camera = self._cameras[feed.tap.camera]
        if feed.told or camera.told is None:
            return
        feed.told = self._groups[camera.group].post(feed.wish(self._ledger), [feed.memory.fd])

    def _forget_told(self, camera: Camera) -> None:
        camera.told, camera.told_by = None, None
        for feed in self._feeds.values():
            if feed.tap.camera == camera.name:
                feed.told = False

    # ---- what workers say ----

    def _received(self, group: Group, message: messages.FromWorker) -> None:
        match message:
            case messages.FrameReady():
                self._frame(group, message)
            case messages.Still():
                self._still(message)
            case messages.Superseded():
                self._superseded(message)
            case messages.HealthChanged():
                self._health(group, message)
            case messages.Hung():
                self._hung(group, message)
            case messages.Measured():
                self._measured(message)
            case messages.Encoded():
                self._calls.answer(message.call, message)
            case messages.Failed():
                self._calls.answer(message.call, Retryable(message.message))
            case messages.Ask():
                self._lender.asked(message, self._hosted(group), group.post)

    def _frame(self, group: Group, told: messages.FrameReady) -> None:
        feed = self._feed_of(told.tap, 1)
        if feed is None:
            return
        if not 0 <= told.slot < feed.memory.slots or not self._ledger.announced(feed.tap, told.slot, told.seq):
            log.error("capture worker %s announced a frame that cannot be; it is restarted", group.number)
            group.kill()
            return
        self._on_frame(Captured.told(feed.tap, feed.wanted, told))

    def _still(self, told: messages.Still) -> None:
        feed = self._feed_of(told.tap, 1)
        if feed is not None:
            self._ledger.passed(feed.tap, told.seq)
            self._on_still(PassedOver.told(feed.tap, told))

    def _superseded(self, told: messages.Superseded) -> None:
        feed = self._feed_of(told.tap, told.count)
        if feed is not None:
            self._ledger.passed(feed.tap, told.seq)
            self._on_superseded(feed.tap, told.count)

    def _feed_of(self, number: int, frames: int) -> Feed | None:
        """Whose frames these are. Those under way when their memory was taken away nobody can answer any more."""
        tap = self._retired.get(number)
        if tap is not None:
            self._on_superseded(tap, frames)
        return self._by_number.get(number)

    def _health(self, group: Group, told: messages.HealthChanged) -> None:
        camera = self._cameras.get(CameraName(told.camera))
        if camera is None or camera.told_by is not group:
            return
        if told.thread:
            group.threads[told.thread] = told.camera
        if camera.worker_lost and told.state is CameraState.STARTING:
            return  # a fresh worker alone is no good news
        camera.worker_lost = False
        self._set_health(camera, told.state, told.reason, told.restarts)

    def _hung(self, group: Group, told: messages.Hung) -> None:
        """Its thread is freed by the end of its process alone, and that may cost nobody else a frame."""
        camera = self._cameras.get(CameraName(told.camera))
        if camera is None or camera.told_by is not group:
            return
        if all(other is camera or other.told_by is not group for other in self._cameras.values()):
            camera.hung = True
            group.kill()
        else:
            self._strikes.alone.add(camera.name)
            self._tasks.once(f"move camera {camera.name}", self._converge_again())

    def _measured(self, told: messages.Measured) -> None:
        now = self._clock.monotonic()
        for measure in told.cameras:
            camera = self._cameras.get(CameraName(measure.camera))
            if camera is not None:
                camera.stats = camera.meter.measured(camera.stats, measure, now)

    def _set_health(self, camera: Camera, state: CameraState, reason: str, restarts: int) -> None:
        """The one place where a camera's state changes."""
        if (state, reason) != (camera.stats.state, camera.stats.reason):
            shown = log.warning if reason else log.info
            shown("camera %s: %s%s", camera.name, state, f", {reason}" if reason else "")
        camera.stats = replace(camera.stats, state=state, reason=reason, restarts=restarts)
        self._tell_health(camera.name)

    def _tell_health(self, name: CameraName) -> None:
        self._on_health(name, self._stats_of(name))

    def _stats_of(self, name: CameraName) -> CameraStats:
        refused = self._refused.get(name, "")
        camera = self._cameras.get(name)
        if camera is None:
            return CameraStats(CameraState.RETRYING, refused, refused=refused)
        return replace(camera.stats, refused=refused, lowered_rate=camera.lowered(self._feeds.values()))

    # ---- a worker's death ----

    def _died(self, group: Group, how: str, last_words: str) -> None:
        hosted = self._hosted(group)
        threads = {number: CameraName(name) for number, name in group.threads.items()}
        blamed = placement.culprit(last_words, threads)
        self._strikes.died([camera.name for camera in hosted], blamed, self._clock.monotonic())
        log.error("capture worker %s %s%s", group.number, how, f"; it was at camera {blamed}" if blamed else "")
        self._calls.fail(group, "the picture was lost with its capture worker")
        for camera in hosted:
            self._forget_told(camera)
            self._set_health(camera, *camera.after_death(how), camera.stats.restarts + 1)
        self._rest(group)

    def _rest(self, group: Group) -> None:
        """Until its next start."""
        self._resting.add(group.number)
        self._tasks.once(f"revive capture worker {group.number}", self._revive(group))

    async def _revive(self, group: Group) -> None:
        delay = group.budget.spend(self._clock.monotonic())
        if delay is None:
            log.error("capture worker %s was started too often; next try in %g s", group.number, EXHAUSTED_SECONDS)
            delay = EXHAUSTED_SECONDS
        if delay:
            await self._clock.sleep(delay)
        self._resting.discard(group.number)
        await self._converge_again()

    async def _converge_again(self) -> None:
        async with self._converging:
            await self._converge()

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            for group in self._groups.values():
                group.check()

    def _hosted(self, group: Group) -> list[Camera]:
        """The cameras that this worker was told of."""
        return [camera for camera in self._cameras.values() if camera.told_by is group]

    def _group_of(self, camera: CameraName) -> Group:
        """Raises Retryable."""
        running = self._cameras.get(camera)
        group = self._groups.get(running.group) if running else None
        if group is None:
            raise Retryable(f"camera {camera} does not run")
        return group
