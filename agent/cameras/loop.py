"""The capture loop: one thread per camera that opens its source, reads it, feeds the taps, and tries again.

A thread serves one spec; a changed spec gets a new thread while the old one, which may still sit in a read, is told to
end and says nothing more. Where both want the same source, the new one waits for the old to let go: no device is opened
twice. A thread that does not come back from its source is noticed from outside (`look`) and told. What a camera is to
the rest of the worker outlives its threads: taps, counts, last pictures.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from agent.cameras.frozen import Frozen
from agent.cameras.gate import Gate
from agent.cameras.health import Backoff, Event, Health
from agent.cameras.loans import OWN_HANDS, Loans
from agent.cameras.messages import CameraMeasure, HealthChanged, Hung
from agent.cameras.motion import SIDE, MotionDetector
from agent.cameras.pacer import Pacer
from agent.cameras.source import ABSENT, FROZEN, HUNG_SECONDS, SENTENCES, FrameSource, Reason, Shot, SourceLost
from agent.cameras.spec import CameraSpec, Device, File, Rtsp, Synthetic
from agent.cameras.tap import TapWriter
from agent.types import CameraState, Zone
from agent.workers import memory

WATCHED_SECONDS = 5.0  # after a preview was asked for
WATCHED_PICTURES = 4  # kept meanwhile, so that boxes meet their own picture
LET_GO_SECONDS = 0.05  # between looks whether the thread before has let go of the source
_PR_SET_NAME = 15

Say = Callable[[msgspec.Struct], None]
Sources = Callable[[CameraSpec], FrameSource]
log = logging.getLogger(__name__)


class Camera:
    """One camera of this worker."""

    def __init__(self, name: str, say: Say, restarts: int, sources: Sources | None = None) -> None:
        self.name = name
        self.say = say
        self.sources = sources or make_source
        self.health = Health(restarts=restarts)
        self.taps: tuple[TapWriter, ...] = ()
        self._gate = Gate()
        self._detector = MotionDetector()
        self.masks: Sequence[Zone] = ()
        self._recent: deque[Shot] = deque()
        self._watched_until = 0.0
        self._pictures = 0
        self._cpu = 0.0
        self._spec: CameraSpec | None = None
        self._paused = False
        self._loop: CaptureLoop | None = None
        self._before: CaptureLoop | None = None  # the last one that was told to end

    def configure(self, spec: CameraSpec, *, paused: bool) -> None:
        """Run like this from now on. A changed rate alone does not touch the stream."""
        before, self._spec = self._spec, spec
        if before is not None and self._loop is not None and not paused and _same_stream(before, spec):
            self._loop.pacer = Pacer(spec.rate)
            self.repace()
            return
        if paused and self._paused:
            return
        self._stop_loop()  # which is `_before` from now on
        self._paused = paused
        if paused:
            self.turn(Event.PAUSED)
            return
        self.health = Health(restarts=self.health.restarts)
        self._loop = CaptureLoop(self, spec, self._before)
        self.repace()
        self._loop.start()

    def repace(self) -> None:
        """As many frames as the fastest tap takes, and never more than it was told; each tap takes what it wants."""
        if self._loop is None or self._spec is None:
            return
        rate = min(self._spec.rate, max((tap.rate for tap in self.taps), default=math.inf))
        for tap in self.taps:
            tap.pace(rate)
        self._loop.pace(rate)

    def watch_for_motion(self, every: float, masks: Sequence[Zone] = ()) -> None:
        """Pass frames over in which nothing moves, for `every` seconds at most; 0 passes none over.

        What lies in a mask neither moves nor leaves the worker.
        """
        if (every, masks) != (self._gate.every, self.masks):
            self._detector = MotionDetector([mask.points for mask in masks])
            self._gate, self.masks = Gate(every), masks

    def look_until(self, until: float) -> None:
        """Pass no frame over until then."""
        self._gate.ask(until)

    def end(self) -> None:
        self._stop_loop()
        for tap in self.taps:
            tap.close()
        self.taps = ()

    def picture_of(self, captured_unix_ns: int | None) -> Shot | None:
        """The picture captured then if it is still there, else the newest. Marks the camera as watched."""
        self._watched_until = time.monotonic() + WATCHED_SECONDS
        recent = list(self._recent)
        exact = (shot for shot in recent if shot.captured_unix_ns == captured_unix_ns)
        return next(exact, recent[-1] if recent else None)

    def look(self, now: float) -> None:
        """Called now and then: tells, once, that the thread hangs in its source."""
        if self._loop is not None and self._loop.hangs(now):
            self.say(Hung(self.name))

    def measure(self) -> CameraMeasure:
        recent = list(self._recent)
        shot = recent[-1] if recent else None
        size = (shot.picture.width, shot.picture.height, shot.captured_unix_ns) if shot else (0, 0, 0)
        cpu = self._cpu + (self._loop.cpu_seconds if self._loop else 0.0)
        return CameraMeasure(self.name, self._pictures, *size, cpu)

    # ---- called by the loop's thread ----

    def take(self, shot: Shot, *, due: bool, missed: int) -> None:
        """A picture, and how many before it were due and never taken."""
        self._pictures += 1
        for tap in self.taps if missed else ():
            if count := tap.missed(missed):
                self.say(tap.miss(count))
        if not due:
            return
        self._recent.append(shot)
        keep = WATCHED_PICTURES if time.monotonic() < self._watched_until else 1
        while len(self._recent) > keep:
            self._recent.popleft()
        self._offer(shot)

    def opened(self) -> None:
        """Its source gives pictures from now on: maybe of another place than before."""
        self._detector.forget()
        self.turn(Event.OPENED)

    def _offer(self, shot: Shot) -> None:
        """To every tap that takes it; where a picture cannot be fitted its frame was due all the same."""
        failure: Exception | None = None
        taps = [tap for tap in self.taps if tap.due(shot.stream_time)]
        opens = self._opens(shot) if taps else False
        for tap in taps:
            try:
                looks = opens or self._gate.overdue(tap.looked_at, shot.captured)
                self.say(tap.offer(shot) if looks else tap.pass_over(shot))
            except Exception as error:  # noqa: BLE001 - raised below, once every tap has had its word
                failure = error
                self.say(tap.miss(1))
        if failure is not None:
            raise failure

    def _opens(self, shot: Shot) -> bool:
        """Whether every tap looks at this picture."""
        if not self._gate.every or not self.taps:
            return True
        return self._gate.open(self._detector.see(shot.picture.grey(SIDE), shot.captured), shot.captured)

    def turn(self, event: Event, reason: str = "") -> None:
        """The one place where the health changes."""
        before, self.health = self.health, self.health.after(event, reason)
        if before != self.health:
            self.report()

    def report(self) -> None:
        thread = self._loop.ident or 0 if self._loop else 0
        self.say(HealthChanged(self.name, self.health.state, self.health.reason, self.health.restarts, thread))

    def _stop_loop(self) -> None:
        if self._loop is not None:
            self._cpu += self._loop.cpu_seconds
            self._loop.stop()
            self._before, self._loop = self._loop, None


class CaptureLoop(threading.Thread):
    """One spec's stream, again and again until it is stopped."""

    def __init__(self, camera: Camera, spec: CameraSpec, before: CaptureLoop | None = None) -> None:
        super().__init__(name=f"camera {camera.name}", daemon=True)
        self.pacer = Pacer(spec.rate)
        self.cpu_seconds = 0.0
        self._camera = camera
        self._spec = spec
        self._stopped = threading.Event()
        self._speaking = threading.Lock()
        self._source: FrameSource | None = None
        self._before = before if before is not None and before.place == self.place else None
        self._called: float | None = None  # since when it waits for its source, or for the thread before
        self._told_to_hang = False
        self._backoff = Backoff(random.Random())  # noqa: S311 - spreads retries
        self._frozen = Frozen()

    def stop(self) -> None:
        """No word comes from this loop after this returns; its thread ends when its source lets go."""
        with self._speaking:
            self._stopped.set()
        if self._source is not None:
            self._source.interrupt()

    @property
    def place(self) -> object:
        """What it opens."""
        source = self._spec.source
        return source.path if isinstance(source, Device) else source

    def hangs(self, now: float) -> bool:
        """For too long in one call; said once for each, and seen in the camera's health."""
        called, source = self._called, self._source
        resting = source is not None and source.resting
        if called is None or resting or self._told_to_hang or now - called < HUNG_SECONDS:
            return False
        self._told_to_hang = True
        self._turn(Event.STALLED, SENTENCES[Reason.HUNG])
        return True

    def pace(self, rate: float) -> None:
        """So many frames a second are due from now on. From any thread."""
        self.pacer.rate, source = rate, self._source
        if source is not None:
            source.pace(rate)

    def run(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, self._camera.name[:15].encode())
        self._speak(self._camera.report)
        self._await_the_one_before()
        while not self._stopped.is_set():
            lost = self._stream()
            if memory.spent():  # with this worker's end it comes back, and with nothing else
                log.critical("no memory is left for camera %s; its worker is to be started again", self._camera.name)
                os._exit(1)
            self._turn(Event.STALLED if lost.reason is Reason.STALLED else Event.FAILED, str(lost))
            if not self._stopped.wait(self._backoff.failed(absent=lost.reason in ABSENT)):
                self._turn(Event.BACKOFF_OVER)

    def _await_the_one_before(self) -> None:
        self._calls()
        while self._before is not None and self._before.is_alive() and not self._stopped.wait(LET_GO_SECONDS):
            pass
        self._before = self._called = None

    def _calls(self) -> None:
        self._called, self._told_to_hang = time.monotonic(), False

    def _stream(self) -> SourceLost:
        """Open, read until it ends; why it ended."""
        try:
            self._source = source = self._camera.sources(self._spec)
            self._calls()
            self._frozen = Frozen()
            try:
                source.pace(self.pacer.rate)
                source.open()
                self._speak(self._camera.opened)
                while not self._stopped.is_set():
                    self._take(source.read())
            finally:
                source.close()
                self._called = None
        except SourceLost as lost:
            return lost
        except Exception as error:  # noqa: BLE001 - the root of a camera: a fault here may not take its neighbours along
            # Only where and what kind: a foreign error's text may hold the source's URL.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("camera %s: %s in the capture loop\n%s", self._camera.name, type(error).__name__, where)
            return SourceLost(Reason.FAULT)
        return SourceLost(Reason.ENDED)

    def _take(self, shot: Shot) -> None:
        self._calls()
        self.cpu_seconds = time.thread_time()
        self._backoff.frame(shot.captured)
        due, missed = self.pacer.due(shot.stream_time), self.pacer.missed(shot.skipped)
        self._speak(lambda: self._taken(shot, due=due, missed=missed))

    def _taken(self, shot: Shot, *, due: bool, missed: int) -> None:
        self._camera.take(shot, due=due, missed=missed)
        if self._camera.health.state is not CameraState.RUNNING:
            self._camera.turn(Event.FRAME)
        if shot.ts_source != "clock" and self._frozen.wants(shot.captured):
            self._look_whether_it_moves(shot)

    def _look_whether_it_moves(self, shot: Shot) -> None:
        if self._frozen.is_frozen(shot.picture.digest(), shot.captured):
            self._camera.turn(Event.FROZEN, FROZEN)
        else:
            self._camera.turn(Event.FRAME)

    def _turn(self, event: Event, reason: str = "") -> None:
        self._speak(lambda: self._camera.turn(event, reason))

    def _speak(self, word: Callable[[], None]) -> None:
        with self._speaking:
            if not self._stopped.is_set():
                word()


def make_source(spec: CameraSpec, loans: Loans = OWN_HANDS) -> FrameSource:
    """The adapter for a spec; FFmpeg is loaded only by a worker that needs it."""
    match spec.source:
        case Synthetic():
            from agent.cameras.source_synthetic import SyntheticSource

            return SyntheticSource(spec.source, spec.rate)
        case File():
            from agent.cameras.source_av import FileSource

            return FileSource(spec.source, loans)
        case Device():
            from agent.cameras.source_av import DeviceSource

            return DeviceSource(spec.source)
        case Rtsp():
            from agent.cameras.source_av import RtspSource

            return RtspSource(spec.source, loans)


def _same_stream(before: CameraSpec, after: CameraSpec) -> bool:
    """A drawn camera draws at its rate, so for it a new rate is a new stream."""
    return before.source == after.source and (before.rate == after.rate or not isinstance(after.source, Synthetic))
