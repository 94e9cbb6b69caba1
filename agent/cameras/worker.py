"""The capture worker process: up to eight cameras, a thread each, and the pixels of their frames.

    python -m agent.cameras.worker [what its cameras need]      (started by agent.workers.process)

Before it hears of a camera it gives up its rights (see agent.cameras.confinement). The main thread takes the agent's
messages and encodes pictures for the cloud; a second one draws previews and snapshots, the newest wish of each camera
only. Capture threads fill slots and announce them. Masks are painted in every picture that leaves. A crash in native
code leaves its last words, which name the thread, in a memory that the agent holds.
"""

from __future__ import annotations

import faulthandler
import functools
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence

import cv2
import msgspec

from agent.cameras import confinement, drawing, spec
from agent.cameras.loans import Borrowed, Borrower
from agent.cameras.loop import Camera, make_source
from agent.cameras.messages import (
    Draw,
    DropCamera,
    DropTap,
    Encode,
    Encoded,
    Failed,
    Hello,
    Lent,
    Look,
    Measured,
    Pace,
    Release,
    SetCamera,
    SetTap,
    Snap,
    ToWorker,
)
from agent.cameras.needs import Needs
from agent.cameras.tap import TapWriter
from agent.workers.channel import WorkerChannel
from agent.workers.settled import settle
from protos.errors import Rejected

MEASURE_SECONDS = 1.0
log = logging.getLogger(__name__)
GONE = "the picture is gone; ask for a newer one"


class Worker:
    """What the process holds; one method per message."""

    def __init__(self, channel: WorkerChannel[ToWorker]) -> None:
        self._channel = channel
        self._cameras: dict[str, Camera] = {}
        self._taps: dict[int, TapWriter] = {}
        self._artist = Artist(self)
        self._borrower = Borrower(self.say)

    def run(self) -> None:
        """Until the agent is gone (EOFError)."""
        self._artist.start()
        measured = time.monotonic()
        while True:
            received = self._channel.receive(max(0.0, measured + MEASURE_SECONDS - time.monotonic()))
            if received is not None:
                self.handle(*received)
            if time.monotonic() >= measured + MEASURE_SECONDS:
                measured = time.monotonic()
                self.say(Measured([camera.measure() for camera in self._cameras.values()]))
                for camera in self._cameras.values():
                    camera.look(measured)

    def say(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        try:
            self._channel.send(message, fds)
        except EOFError:
            os._exit(0)  # the agent is gone

    def handle(self, message: ToWorker, fds: Sequence[int]) -> None:
        match message:
            case Release():
                if message.tap in self._taps:
                    self._taps[message.tap].release(message.slot)
            case Look():
                self._look(message)
            case Encode():
                self._encode(message)
            case Draw() | Snap():
                self._artist.wish(message)
            case SetCamera():
                self._set_camera(message)
            case DropCamera():
                self._drop_camera(message)
            case SetTap():
                self._set_tap(message, fds[0])
            case DropTap():
                self._drop_tap(message)
            case Pace():
                self._pace(message)
            case Lent():
                self._borrower.lent(message, fds)

    def draw(self, wish: Draw | Snap) -> None:
        camera = self._cameras.get(wish.camera)
        shot = camera.picture_of(wish.captured_unix_ns if isinstance(wish, Draw) else None) if camera else None
        if camera is None or shot is None:
            self.say(Failed(wish.call, "the camera has given no picture yet"))
        elif isinstance(wish, Draw):
            drawn = drawing.Drawn(wish.boxes, wish.caption, wish.zones, camera.masks)
            self._answer(wish.call, lambda: drawing.preview(shot.picture, drawn, wish.max_width))
        else:
            picture, view = shot.picture, wish.view
            self._answer(wish.call, lambda: drawing.encode(picture, view, camera.masks), shot.captured_unix_ns)

    def _set_camera(self, message: SetCamera) -> None:
        camera = self._cameras.get(message.camera)
        if camera is None:
            sources = functools.partial(make_source, loans=Borrowed(message.camera, self._borrower))
            camera = self._cameras[message.camera] = Camera(message.camera, self.say, message.restarts, sources)
        camera.watch_for_motion(message.look_every, message.masks)
        # The agent has parsed it before: what arrives here is good.
        camera.configure(spec.parse(message.camera, message.source, message.rate), paused=message.paused)

    def _drop_camera(self, message: DropCamera) -> None:
        camera = self._cameras.pop(message.camera, None)
        if camera is None:
            return
        for tap in camera.taps:
            self._taps.pop(tap.number, None)
        camera.end()

    def _set_tap(self, message: SetTap, fd: int) -> None:
        camera = self._cameras[message.camera]
        tap = self._taps[message.tap] = TapWriter(message, fd)
        before = self._taps.pop(message.instead_of, None)
        camera.taps = (*(other for other in camera.taps if other is not before), tap)
        camera.repace()
        if before is not None:
            before.close()

    def _drop_tap(self, message: DropTap) -> None:
        tap = self._taps.pop(message.tap, None)
        if tap is None:
            return
        camera = self._cameras.get(message.camera)
        if camera is not None:
            camera.taps = tuple(other for other in camera.taps if other is not tap)
            camera.repace()
        tap.close()

    def _look(self, message: Look) -> None:
        if message.camera in self._cameras:
            self._cameras[message.camera].look_until(message.until)

    def _pace(self, message: Pace) -> None:
        if message.tap in self._taps and message.camera in self._cameras:
            self._taps[message.tap].rate = message.rate
            self._cameras[message.camera].repace()

    def _encode(self, message: Encode) -> None:
        tap = self._taps.get(message.tap)
        camera = self._cameras.get(tap.camera) if tap else None
        picture = tap.picture(message.slot, message.seq) if tap else None
        if camera is None or picture is None:
            self.say(Failed(message.call, GONE))
        else:
            self._answer(message.call, lambda: drawing.encode(picture, message.view, camera.masks))

    def _answer(self, call: int, make: Callable[[], bytes], captured_unix_ns: int = 0) -> None:
        """A picture that cannot be made is its caller's loss, not the cameras'."""
        try:
            jpeg = make()
        except Rejected as error:
            self.say(Failed(call, str(error)))
        except Exception as error:  # noqa: BLE001 - the root of a call
            log.warning("no picture: %s", type(error).__name__)
            self.say(Failed(call, "the picture could not be encoded"))
        else:
            self.say(Encoded(call, jpeg, captured_unix_ns))


class Artist(threading.Thread):
    """Draws previews and snapshots beside the main thread, so that no frame waits for a picture."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="artist", daemon=True)
        self._worker = worker
        self._wishes: dict[tuple[type, str], Draw | Snap] = {}  # by kind and camera
        self._changed = threading.Condition()

    def wish(self, wish: Draw | Snap) -> None:
        """Draw this soon; an older one of its kind for the same camera is dropped."""
        kind = type(wish), wish.camera
        with self._changed:
            older = self._wishes.pop(kind, None)
            self._wishes[kind] = wish
            self._changed.notify()
        if older is not None:
            self._worker.say(Failed(older.call, "a newer picture was asked for"))

    def run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wishes)
                wish = self._wishes.pop(next(iter(self._wishes)))
            self._worker.draw(wish)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pictures and credentials
    logging.basicConfig(level=logging.WARNING, format="capture worker: %(message)s")
    cv2.setNumThreads(1)  # cameras share the cores with the engine
    last_words = os.memfd_create("longshore-last-words", os.MFD_CLOEXEC)
    faulthandler.enable(last_words, all_threads=True)  # only then are threads named
    worker = Worker(WorkerChannel.from_environment(ToWorker))
    worker.say(confinement.confine(Needs.parse(sys.argv[1:])))
    worker.say(Hello(), [last_words])
    settle()
    try:
        worker.run()
    except EOFError:
        os._exit(0)  # capture threads may sit in native code: no tidy end is worth waiting for


if __name__ == "__main__":
    main()
