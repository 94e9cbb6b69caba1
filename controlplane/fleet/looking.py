"""What somebody is looking at: the newest picture of each camera, the newest log lines of each box, and what is waited
for, snapshots and accounts of frames; in memory.

Nothing here is stored: it exists while a Watch stream brings it and is forgotten with the process. The newest picture
wins; a slow reader misses pictures and never holds one up. Threads and event loops may share one `Looking`: streams put
in from the event loop, REST reads from a thread pool, pages wait in either.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from controlplane.fleet.accounts import FrameAccounts, FrameWish
from protos.errors import Retryable
from protos.ids import CameraName, NodeId
from protos.regions import WHOLE, Region

T = TypeVar("T")
MAX_PICTURE_BYTES = 1 << 20  # an annotated 1080p JPEG is a third of it
MAX_LOG_LINES = 500  # of one box
MOST_WISHES = 4  # of each kind, of one camera at a time: a box sends about one snapshot a second


@dataclass(frozen=True)
class Picture:
    camera: CameraName
    captured_unix_ms: int
    jpeg: bytes = field(repr=False)
    outcome: str = ""
    latency_ms: float = 0.0
    number: int = 0  # grows with every picture of any camera


@dataclass(frozen=True)
class LogLine:
    unix_ms: int
    level: str
    logger: str
    message: str
    number: int = 0


@dataclass(frozen=True)
class SnapshotWish:
    """What somebody waits for: the newest picture of a camera, or a part of it, as JPEG."""

    camera: CameraName
    max_side: int  # pixels of the longer side
    quality: int  # 1 to 100
    region: Region = WHOLE
    number: int = 0


@dataclass(frozen=True)
class Snapshot:
    """Answers a wish: a picture, or why there is none."""

    wish: int
    camera: CameraName
    captured_unix_ms: int
    jpeg: bytes = field(repr=False)
    failure: str = ""


class Looking:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._pictures: dict[CameraName, Picture] = {}
        self._lines: dict[NodeId, deque[LogLine]] = {}
        self._wishes: dict[int, SnapshotWish | FrameWish] = {}  # by number, of those who wait
        self._answers: dict[int, Snapshot | FrameAccounts] = {}  # by the number of the wish
        self._listeners: set[Callable[[], None]] = set()

    def put_picture(self, picture: Picture) -> None:
        with self._lock:
            numbered = Picture(**{**vars(picture), "number": next(self._numbers)})
            self._pictures[picture.camera] = numbered
        self._tell()

    def put_line(self, node: NodeId, line: LogLine) -> None:
        with self._lock:
            lines = self._lines.setdefault(node, deque(maxlen=MAX_LOG_LINES))
            lines.append(LogLine(**{**vars(line), "number": next(self._numbers)}))
        self._tell()

    def put_snapshot(self, snapshot: Snapshot) -> None:
        """One that nobody waits for, or that is of another camera than was asked for, is dropped."""
        self._put_answer(snapshot, SnapshotWish)

    def put_accounts(self, accounts: FrameAccounts) -> None:
        """As of snapshots."""
        self._put_answer(accounts, FrameWish)

    def _put_answer(self, answer: Snapshot | FrameAccounts, kind: type[SnapshotWish | FrameWish]) -> None:
        with self._lock:
            wish = self._wishes.get(answer.wish)
            if isinstance(wish, kind) and wish.camera == answer.camera:
                self._answers[answer.wish] = answer
        self._tell()

    def wishes(self, cameras: Collection[CameraName], after: int = 0) -> list[SnapshotWish]:
        """Unanswered, of these cameras, with numbers above `after`; oldest first."""
        return [wish for wish in self._open(cameras, after) if isinstance(wish, SnapshotWish)]

    def frame_wishes(self, cameras: Collection[CameraName], after: int = 0) -> list[FrameWish]:
        """As of snapshots."""
        return [wish for wish in self._open(cameras, after) if isinstance(wish, FrameWish)]

    def _open(self, cameras: Collection[CameraName], after: int) -> list[SnapshotWish | FrameWish]:
        with self._lock:
            open_ = [wish for number, wish in self._wishes.items() if number > after and number not in self._answers]
        return [wish for wish in open_ if wish.camera in cameras]

    def picture(self, camera: CameraName, after: int = 0) -> Picture | None:
        """The newest picture of `camera` if its number is above `after`."""
        with self._lock:
            found = self._pictures.get(camera)
        return found if found and found.number > after else None

    def lines(self, node: NodeId, after: int = 0) -> list[LogLine]:
        """Log lines of `node` with numbers above `after`, oldest first."""
        with self._lock:
            return [line for line in self._lines.get(node, ()) if line.number > after]

    def forget_node(self, node: NodeId) -> None:
        with self._lock:
            self._lines.pop(node, None)

    def forget_camera(self, camera: CameraName) -> None:
        with self._lock:
            self._pictures.pop(camera, None)

    def wait_picture(self, camera: CameraName, after: int, seconds: float) -> Picture | None:
        """Block a thread until there is a picture newer than `after`; None when `seconds` pass first."""
        return self._wait(lambda: self.picture(camera, after), seconds)

    def wait_snapshot(self, wish: SnapshotWish, seconds: float) -> Snapshot | None:
        """Block a thread until a box has answered; None when `seconds` pass first. Then the wish is forgotten.

        Raises:
            Retryable: others wait for snapshots of this camera already.
        """
        others = f"{MOST_WISHES} others wait for snapshots of {wish.camera}"
        full = Retryable(f"{others}, and its box sends about one a second; ask again in a few seconds", 2.0)
        answer = self._wait_answer(wish, seconds, full)
        return answer if isinstance(answer, Snapshot) else None

    def wait_accounts(self, wish: FrameWish, seconds: float) -> FrameAccounts | None:
        """As of a snapshot. Raises Retryable."""
        full = Retryable(f"{MOST_WISHES} others ask about frames of {wish.camera}; ask again in a few seconds", 2.0)
        answer = self._wait_answer(wish, seconds, full)
        return answer if isinstance(answer, FrameAccounts) else None

    def _wait_answer(
        self, wish: SnapshotWish | FrameWish, seconds: float, full: Retryable
    ) -> Snapshot | FrameAccounts | None:
        with self._lock:
            alike = (each for each in self._wishes.values() if type(each) is type(wish))
            if sum(each.camera == wish.camera for each in alike) >= MOST_WISHES:
                raise full
            number = next(self._numbers)
            self._wishes[number] = replace(wish, number=number)
        self._tell()
        try:
            return self._wait(lambda: self._answers.get(number), seconds)
        finally:
            with self._lock:
                self._wishes.pop(number, None)
                self._answers.pop(number, None)

    def wait_lines(self, node: NodeId, after: int, seconds: float) -> list[LogLine]:
        """Block a thread until there are lines newer than `after`; none when `seconds` pass first."""
        return self._wait(lambda: self.lines(node, after), seconds)

    def _wait(self, look: Callable[[], T], seconds: float) -> T:
        end, event = time.monotonic() + seconds, threading.Event()
        wake = event.set
        self._listen(wake)
        try:
            found = look()
            while not found and event.wait(max(0.0, end - time.monotonic())):
                event.clear()
                found = look()
        finally:
            self._unlisten(wake)
        return found

    async def changed(self, seconds: float) -> bool:
        """Wait in an event loop until anything new was put in; False when `seconds` pass first."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        self._listen(wake)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._unlisten(wake)
        return True

    def _listen(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.add(wake)

    def _unlisten(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.discard(wake)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()
