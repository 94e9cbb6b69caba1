"""Showing what the box sees while somebody looks, on a Watch stream: newest annotated pictures and log lines, and what
is wished for: snapshots, accounts of frames.

Rules that hold here: nothing is drawn or sent unless desired state says that somebody looks (`look_until`); newest
wins, per camera, a few pictures a second; a slow or broken stream costs pictures, never frames. All pictures together
stay within PICTURE_BITS, shared evenly by the cameras: the uplink is there for more than being looked at. Snapshots
have SNAPSHOT_BITS beside them, one after the other, and few wait; an account is small, and given at once. Drawing and
encoding happen in the capture worker, which owns the pixels. A camera whose frames go unanswered still moves. Where
several deployments answer for a camera, a picture shows what all of them found, each box with its deployment's name.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from agent.ports import Clock, FleetLink
from agent.supervise import Tasks
from agent.types import Box, Finished, View, Zone
from protos import fleet_pb2
from protos.errors import LongshoreError, Rejected
from protos.ids import CameraName, DeploymentName
from protos.outcomes import IN_TIME, WORDS, Outcome
from protos.regions import WHOLE, Region, within

ANSWERED_SECONDS = 0.2  # between pictures of frames with an answer
UNANSWERED_SECONDS = 0.5  # without one: the picture still moves
IDLE_SECONDS = 1.0  # of a camera that feeds no deployment
NEWS_SECONDS = 3.0  # what a deployment found is drawn into the pictures of others that long
PICTURE_BITS = 4e6  # per second, all cameras together: ten pictures of 50 kB
SNAPSHOT_BITS = 1e6  # per second, all cameras together: the largest takes a little more than a second
MOST_SNAPSHOTS = 4  # wished for and not sent: who would have to wait longer has given up by then
SHARING_SECONDS = 60.0  # after its last picture, a camera still has its share
LOG_LINES = 200  # kept while nobody reads them
RETRY_SECONDS = 1.0
LONGEST_SECONDS = 60.0  # of looking, at one word: the control plane grants 30 s at a time

log = logging.getLogger(__name__)


class Painter(Protocol):
    """The capture side, as a viewer needs it (see agent.cameras.capture)."""

    async def preview(
        self,
        camera: CameraName,
        boxes: tuple[Box, ...],
        caption: str,
        captured_unix_ns: int | None,
        zones: tuple[Zone, ...],
    ) -> bytes:
        """JPEG of the picture captured then if it is still there, else the newest; all of it drawn in.

        Raises Retryable.
        """
        ...

    async def snapshot(self, camera: CameraName, view: View) -> tuple[bytes, int]:
        """JPEG of the newest picture with its masks painted, and its time in unix ns. Raises Retryable."""
        ...


@dataclass(frozen=True)
class _Drawing:
    """What is drawn on a picture, and on which one."""

    boxes: tuple[Box, ...]
    caption: str
    captured_unix_ns: int | None  # None: the newest


class Looking:
    """What is on its way to a viewer."""

    def __init__(
        self,
        clock: Clock,
        painter: Painter,
        cameras: Callable[[], Iterable[CameraName]],
        zones: Callable[[CameraName], tuple[Zone, ...]] = lambda _camera: (),
        account: Callable[[fleet_pb2.SnapshotWish], fleet_pb2.FrameAccounts] = lambda _wish: fleet_pb2.FrameAccounts(),
    ) -> None:
        """`cameras`: those that feed no deployment; `zones`: of a camera; `account`: answers a wish for one."""
        self._account = account
        self._zones = zones
        self._clock = clock
        self._painter = painter
        self._cameras = cameras
        self._until = -math.inf  # monotonic seconds: the box's clock may be set while somebody looks
        self._pictures: dict[CameraName, bytes] = {}
        self._newest: dict[CameraName, dict[DeploymentName, Finished]] = {}  # by camera and deployment
        self._answers: deque[bytes] = deque(maxlen=4 * MOST_SNAPSHOTS)  # to wishes, or why there is none
        self._wished: set[int] = set()  # numbers of wishes whose turn is to come
        self._snapping = asyncio.Lock()
        self._lines: deque[bytes] = deque(maxlen=LOG_LINES)
        self._drawn: dict[CameraName, float] = {}
        self._bytes: dict[CameraName, int] = {}  # of the last picture
        self._drawing: set[CameraName] = set()
        self._changed = asyncio.Event()
        self._tasks = Tasks()

    @property
    def wanted(self) -> bool:
        return self._clock.monotonic() < self._until

    def look_until(self, unix_seconds: float) -> None:
        """The latest moment told counts, whichever of hint and Sync comes last; a wrong clock makes it no eternity."""
        left = min(unix_seconds - self._clock.unix(), LONGEST_SECONDS)
        self._until = max(self._until, self._clock.monotonic() + left)
        self._changed.set()

    def show(self, finished: Finished) -> None:
        """A frame ended: draw it, if anybody looks and it is time for a new picture of its camera."""
        if not self.wanted:
            return
        others, camera = self._others(finished), finished.tap.camera
        if not self._is_due(camera, ANSWERED_SECONDS if finished.release else UNANSWERED_SECONDS):
            return
        picture = fleet_pb2.Picture(
            camera=camera,
            captured_unix_ms=finished.captured_unix_ns // 1_000_000,
            outcome=finished.outcome,
            latency_ms=finished.latency * 1000,
        )
        self._paint(picture, together(finished, others))

    def say(self, line: fleet_pb2.LogLine) -> None:
        """A log line; kept for the next viewer when nobody looks now. Called in any thread, so it wakes nobody."""
        self._lines.append(fleet_pb2.WatchFrame(log=line).SerializeToString())

    async def serve(self, link: FleetLink) -> None:
        """Keep a Watch stream open while somebody looks; runs until cancelled."""
        while True:
            await self._until_wanted()
            try:
                await link.watch(self._frames())
            except LongshoreError as error:
                log.debug("watch stream: %s", error)
                await self._clock.sleep(RETRY_SECONDS * (30 if isinstance(error, Rejected) else 1))

    async def answer(self, link: FleetLink) -> None:
        """Answer wishes for snapshots while somebody looks; runs until cancelled."""
        while True:
            await self._until_wanted()
            try:
                async for wish in link.wishes():
                    self._wish(fleet_pb2.SnapshotWish.FromString(wish))
            except LongshoreError as error:
                log.debug("wishes: %s", error)
                await self._clock.sleep(RETRY_SECONDS * (30 if isinstance(error, Rejected) else 1))
            else:
                await self._clock.sleep(RETRY_SECONDS)  # whoever waits, waits on

    async def close(self) -> None:
        await self._tasks.stop(1.0)

    async def _until_wanted(self) -> None:
        while not self.wanted:
            self._changed.clear()
            await self._changed.wait()

    def _others(self, finished: Finished) -> list[Finished]:
        """The newest of each other deployment that answers for this camera, while it is news."""
        camera = self._newest.setdefault(finished.tap.camera, {})
        camera[finished.tap.deployment] = finished
        for name, each in list(camera.items()):
            if finished.finished - each.finished > NEWS_SECONDS:
                del camera[name]
        return [each for name, each in sorted(camera.items()) if name != finished.tap.deployment]

    def _is_due(self, camera: CameraName, gap: float) -> bool:
        """Whether it is time for a new picture of it, `gap` seconds at least after the last."""
        now = self._clock.monotonic()
        passed = now - self._drawn.get(camera, -math.inf)
        return self.wanted and camera not in self._drawing and passed >= max(gap, self._fair_gap(camera, now))

    def _paint(self, picture: fleet_pb2.Picture, drawing: _Drawing) -> None:
        camera = CameraName(picture.camera)
        self._drawn[camera] = self._clock.monotonic()
        self._drawing.add(camera)
        self._tasks.once(f"draw {camera}", self._draw(camera, picture, drawing))

    def _fair_gap(self, camera: CameraName, now: float) -> float:
        """Seconds between pictures of this camera at which all cameras keep within PICTURE_BITS."""
        sharing = sum(now - drawn <= SHARING_SECONDS for drawn in self._drawn.values())
        return 8 * self._bytes.get(camera, 0) * max(1, sharing) / PICTURE_BITS

    async def _draw(self, camera: CameraName, picture: fleet_pb2.Picture, drawing: _Drawing) -> None:
        try:
            picture.jpeg = await self._painter.preview(
                camera, drawing.boxes, drawing.caption, drawing.captured_unix_ns, self._zones(camera)
            )
        except LongshoreError as error:
            log.debug("no picture of %s: %s", camera, error)
            return
        finally:
            self._drawing.discard(camera)
        self._bytes[camera] = len(picture.jpeg)
        self._pictures[camera] = fleet_pb2.WatchFrame(picture=picture).SerializeToString()
        self._changed.set()

    def _wish(self, wish: fleet_pb2.SnapshotWish) -> None:
        """Answered when its turn comes, or at once where too many wait. For an account nobody waits."""
        if wish.HasField("frame"):
            self._answer_with(fleet_pb2.WatchFrame(accounts=self._account(wish)))
            return
        if wish.number in self._wished:  # a stream that was opened anew tells again what is open
            return
        if len(self._wished) < MOST_SNAPSHOTS:
            self._wished.add(wish.number)
            self._tasks.once("snapshot", self._turn(wish))
            return
        full = f"its box has {MOST_SNAPSHOTS} others to send first; ask again in a few seconds"
        self._give(fleet_pb2.Snapshot(wish=wish.number, camera=wish.camera, failure=full))

    async def _turn(self, wish: fleet_pb2.SnapshotWish) -> None:
        """However it ends, it is over."""
        try:
            await self._answer(wish)
        finally:
            self._wished.discard(wish.number)

    async def _answer(self, wish: fleet_pb2.SnapshotWish) -> None:
        """One after the other, and no faster than SNAPSHOT_BITS allows."""
        snapshot = fleet_pb2.Snapshot(wish=wish.number, camera=wish.camera)
        async with self._snapping:
            try:
                view = _view(wish)
                snapshot.jpeg, captured_ns = await self._painter.snapshot(CameraName(wish.camera), view)
                snapshot.captured_unix_ms = captured_ns // 1_000_000
            except LongshoreError as error:
                snapshot.failure = str(error)
            self._give(snapshot)
            await self._clock.sleep(8 * len(snapshot.jpeg) / SNAPSHOT_BITS)

    def _give(self, snapshot: fleet_pb2.Snapshot) -> None:
        self._answer_with(fleet_pb2.WatchFrame(snapshot=snapshot))

    def _answer_with(self, frame: fleet_pb2.WatchFrame) -> None:
        self._answers.append(frame.SerializeToString())
        self._changed.set()

    async def _frames(self) -> AsyncIterator[bytes]:
        while self.wanted:
            self._changed.clear()
            while self._answers:
                yield self._answers.popleft()
            while self._lines:
                yield self._lines.popleft()
            for camera in list(self._pictures):
                yield self._pictures.pop(camera)
            self._paint_idle()
            await self._wait()

    def _paint_idle(self) -> None:
        now_ms = int(self._clock.unix() * 1000)
        for camera in self._cameras():
            if self._is_due(camera, IDLE_SECONDS):
                picture = fleet_pb2.Picture(camera=camera, captured_unix_ms=now_ms)
                self._paint(picture, _Drawing((), "no deployment answers for this camera", None))

    async def _wait(self) -> None:
        """Until something new is there, or a second has passed (somebody may have stopped looking)."""
        try:
            async with asyncio.timeout(1.0):
                await self._changed.wait()
        except TimeoutError:
            return


def _view(wish: fleet_pb2.SnapshotWish) -> View:
    """Raises Rejected."""
    told = wish.region
    region = within(Region(told.x0, told.y0, told.x1, told.y1)) if wish.HasField("region") else WHOLE
    return View(wish.max_side, wish.quality, region)


def together(finished: Finished, others: Sequence[Finished]) -> _Drawing:
    """The frame that ended, with what other deployments found of late in the same scene."""
    if not others:
        return _Drawing(finished.boxes, caption(finished), finished.captured_unix_ns)
    everyone = (finished, *others)
    boxes = tuple(
        structs.replace(box, label=f"{each.tap.deployment}: {box.label}") for each in everyone for box in each.boxes
    )
    told = sorted(f"{each.tap.deployment}: {caption(each)}" for each in everyone)
    return _Drawing(boxes, "   ".join(told), finished.captured_unix_ns)


def caption(finished: Finished) -> str:
    """One line under the picture: how the frame ended, where and how fast."""
    if finished.outcome in IN_TIME:
        where = f" ({finished.where})" if finished.outcome is Outcome.OK_CLOUD else ""
        return f"{WORDS[finished.outcome]}{where}, {finished.latency * 1000:.0f} ms"
    if finished.outcome is Outcome.STALE_TRACK:
        return f"{WORDS[finished.outcome]}: nothing moved, looked at {finished.age:.1f} s before"
    return f"{WORDS[finished.outcome]}: {_UNANSWERED[finished.outcome]}"


_UNANSWERED = {
    Outcome.SUPERSEDED: "a newer picture took its place",
    Outcome.SHED: "no answer was possible by the deadline",
    Outcome.EXPIRED: "the answer came after the deadline",
    Outcome.CLOUD_LATE: "the cloud did not answer by the deadline",
    Outcome.ERROR: "it failed; the box's log says why",
}
