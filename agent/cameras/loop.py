"""The capture loop: one thread per camera that opens its source, reads it, feeds the taps, and tries again.

A thread serves one spec; a changed spec gets a new thread while the old one, which may still sit in a read, is told to
end and says nothing more. What a camera is to the rest of the worker outlives its threads: taps, counts, last pictures.
"""

from __future__ import annotations

import ctypes
import logging
import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

import msgspec

from agent.cameras.health import Backoff, Event, Health
from agent.cameras.messages import CameraMeasure, HealthChanged
from agent.cameras.pacer import Pacer
from agent.cameras.source import FrameSource, Reason, Shot, SourceLost
from agent.cameras.spec import CameraSpec, Device, File, Rtsp, Synthetic
from agent.cameras.tap import TapWriter
from agent.types import CameraState

WATCHED_SECONDS = 5.0  # after a preview was asked for
WATCHED_PICTURES = 4  # kept meanwhile, so that boxes meet their own picture
_PR_SET_NAME = 15

Say = Callable[[msgspec.Struct], None]
log = logging.getLogger(__name__)


class Camera:
    """One camera of this worker."""

    def __init__(self, name: str, say: Say, restarts: int) -> None:
        self.name = name
        self.say = say
        self.health = Health(restarts=restarts)
        self.taps: tuple[TapWriter, ...] = ()
        self._recent: deque[Shot] = deque()
        self._watched_until = 0.0
        self._pictures = 0
        self._cpu = 0.0
        self._spec: CameraSpec | None = None
        self._paused = False
        self._loop: CaptureLoop | None = None

    def configure(self, spec: CameraSpec, *, paused: bool) -> None:
        """Run like this from now on. A changed rate alone does not touch the stream."""
        before, self._spec = self._spec, spec
        if before is not None and self._loop is not None and not paused and _same_stream(before, spec):
            self._loop.pacer = Pacer(spec.rate)
            return
        if paused and self._paused:
            return
        self._stop_loop()
        self._paused = paused
        if paused:
            self.turn(Event.PAUSED)
            return
        self.health = Health(restarts=self.health.restarts)
        self._loop = CaptureLoop(self, spec)
        self._loop.start()

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

    def measure(self) -> CameraMeasure:
        recent = list(self._recent)
        shot = recent[-1] if recent else None
        size = (shot.picture.width, shot.picture.height, shot.captured_unix_ns) if shot else (0, 0, 0)
        cpu = self._cpu + (self._loop.cpu_seconds if self._loop else 0.0)
        return CameraMeasure(self.name, self._pictures, *size, cpu)

    # ---- called by the loop's thread ----

    def take(self, shot: Shot, *, due: bool) -> None:
        self._pictures += 1
        if not due:
            return
        self._recent.append(shot)
        keep = WATCHED_PICTURES if time.monotonic() < self._watched_until else 1
        while len(self._recent) > keep:
            self._recent.popleft()
        for tap in self.taps:
            self.say(tap.offer(shot))

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
            self._loop = None


class CaptureLoop(threading.Thread):
    """One spec's stream, again and again until it is stopped."""

    def __init__(self, camera: Camera, spec: CameraSpec) -> None:
        super().__init__(name=f"camera {camera.name}", daemon=True)
        self.pacer = Pacer(spec.rate)
        self.cpu_seconds = 0.0
        self._camera = camera
        self._spec = spec
        self._stopped = threading.Event()
        self._speaking = threading.Lock()
        self._source: FrameSource | None = None
        self._backoff = Backoff(random.Random())  # noqa: S311 - spreads retries

    def stop(self) -> None:
        """No word comes from this loop after this returns; its thread ends when its source lets go."""
        with self._speaking:
            self._stopped.set()
        if self._source is not None:
            self._source.interrupt()

    def run(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, self._camera.name[:15].encode())
        self._speak(self._camera.report)
        while not self._stopped.is_set():
            lost = self._stream()
            self._turn(Event.STALLED if lost.reason is Reason.STALLED else Event.FAILED, str(lost))
            if not self._stopped.wait(self._backoff.failed()):
                self._turn(Event.BACKOFF_OVER)

    def _stream(self) -> SourceLost:
        """Open, read until it ends; why it ended."""
        try:
            self._source = source = make_source(self._spec)
            try:
                source.open()
                self._turn(Event.OPENED)
                while not self._stopped.is_set():
                    self._take(source.read())
            finally:
                source.close()
        except SourceLost as lost:
            return lost
        except Exception as error:  # noqa: BLE001 - the root of a camera: a fault here may not take its neighbours along
            # Only where and what kind: a foreign error's text may hold the source's URL.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("camera %s: %s in the capture loop\n%s", self._camera.name, type(error).__name__, where)
            return SourceLost(Reason.FAULT)
        return SourceLost(Reason.ENDED)

    def _take(self, shot: Shot) -> None:
        self.cpu_seconds = time.thread_time()
        self._backoff.frame(shot.captured)
        due = self.pacer.due(shot.stream_time)
        self._speak(lambda: self._taken(shot, due=due))

    def _taken(self, shot: Shot, *, due: bool) -> None:
        self._camera.take(shot, due=due)
        if self._camera.health.state is not CameraState.RUNNING:
            self._camera.turn(Event.FRAME)

    def _turn(self, event: Event, reason: str = "") -> None:
        self._speak(lambda: self._camera.turn(event, reason))

    def _speak(self, word: Callable[[], None]) -> None:
        with self._speaking:
            if not self._stopped.is_set():
                word()


def make_source(spec: CameraSpec) -> FrameSource:
    """The adapter for a spec; FFmpeg is loaded only by a worker that needs it."""
    match spec.source:
        case Synthetic():
            from agent.cameras.source_synthetic import SyntheticSource

            return SyntheticSource(spec.source, spec.rate)
        case File():
            from agent.cameras.source_av import FileSource

            return FileSource(spec.source)
        case Device():
            from agent.cameras.source_av import DeviceSource

            return DeviceSource(spec.source)
        case Rtsp():
            from agent.cameras.source_av import RtspSource

            return RtspSource(spec.source)


def _same_stream(before: CameraSpec, after: CameraSpec) -> bool:
    """A drawn camera draws at its rate, so for it a new rate is a new stream."""
    return before.source == after.source and (before.rate == after.rate or not isinstance(after.source, Synthetic))
