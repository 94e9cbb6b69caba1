"""Where the pictures of a trial come from, one after another: a folder, a picture, a video file, or a live source.

What lies on disk is read whole, each picture once. A live source goes at its own pace: a thread reads it, the newest
picture wins, as it would on a box, and what came while the model was busy is counted.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.cameras.loop import make_source
from agent.cameras.picture import RgbPicture
from agent.cameras.source import STALL_SECONDS, FrameSource, Picture, Reason, Shot, SourceLost
from agent.cameras.spec import CameraSpec, File, parse
from agent.inference.errors import BadInput
from protos.errors import LongshoreError, Rejected

SUFFIXES = (".jpg", ".jpeg", ".png")
WHOLE = 0.95  # of the pictures that a file promises: some are only estimates
LIVE_RATE = 10.0  # frames per second that a drawn scene is asked for
LIVE_SECONDS = 10.0  # of a source without an end, when nobody says how long


@dataclass(frozen=True)
class FedPicture:
    """One picture and what it is called; `stream_time` in seconds; `share` of all that has come with it, 0 to 1."""

    name: str
    picture: Picture
    stream_time: float
    decode_seconds: float
    share: float


class Feed(Protocol):
    """`rate`: pictures per second, 0 where they are no film. `skipped`: pictures that were not looked at."""

    rate: float
    skipped: int

    def next(self) -> FedPicture | None:
        """The next picture, or None at the end. Raises Rejected, SourceLost when the source gives none at all."""
        ...

    def note(self) -> str:
        """What people should know about pictures that are missing; "" for nothing."""
        ...

    def close(self) -> None: ...


def opened(source: str, seconds: float | None) -> Feed:
    """The feed behind a path or URL; at most so many seconds of a film.

    Raises:
        Rejected: nothing there, or nothing in it that can be shown.
        SourceLost: a live source that does not answer.
    """
    if "://" not in source:
        return _of_path(Path(source), seconds)
    spec = parse("try", source, LIVE_RATE)
    if isinstance(spec.source, File):
        return _of_path(Path(spec.source.path), seconds)
    return LiveFeed(spec, LIVE_SECONDS if seconds is None else seconds)


def _of_path(path: Path, seconds: float | None) -> Feed:
    if path.is_dir():
        pictures = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
        if not pictures:
            raise Rejected(f"{path} holds no {', '.join(SUFFIXES)} file")
        return StillFeed(pictures)
    if not path.is_file():
        raise Rejected(f"{path} is not there; name a video, a picture, a folder of pictures, or a URL such as rtsp://…")
    return StillFeed([path]) if path.suffix.lower() in SUFFIXES else ClipFeed(path, seconds)


class StillFeed:
    """Pictures in the order of their names. One that cannot be read is passed over, unless it is the only one."""

    rate = 0.0

    def __init__(self, paths: list[Path]) -> None:
        self._paths = iter(paths)
        self._length = len(paths)
        self._taken = 0
        self.skipped = 0
        self._trouble: LongshoreError | None = None

    def next(self) -> FedPicture | None:
        for path in self._paths:
            started = time.perf_counter()
            self._taken += 1
            try:
                picture = decoded(path)
            except (Rejected, OSError) as error:
                self._trouble = Rejected(f"{path}: {error}")
                self.skipped += 1
                continue
            return FedPicture(path.stem, picture, 0.0, time.perf_counter() - started, self._taken / self._length)
        if self._trouble and self.skipped == self._length:
            raise self._trouble
        return None

    def note(self) -> str:
        return f"{self.skipped} of {self._length} could not be read; the last: {self._trouble}" if self.skipped else ""

    def close(self) -> None:
        return


def decoded(path: Path) -> Picture:
    """Raises Rejected, OSError."""
    from agent.inference.pictures import decode

    content = path.read_bytes()
    if not content:
        raise BadInput("the picture is empty")
    return RgbPicture(decode(memoryview(content)))


class ClipFeed:
    """A video file, from its start. `length`: pictures expected, 0 where the file says nothing."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        from agent.cameras.source_av import Clip

        self._path, self._until = path, seconds
        if not path.stat().st_size:
            raise Rejected(f"{path} is empty; give a video with pictures in it")
        try:
            self._clip = Clip(str(path.absolute()))
        except SourceLost as lost:
            raise self._unusable(lost.reason) from lost
        self.rate = self._clip.rate
        self.length = min(self._clip.length, round(seconds * self.rate)) if seconds else self._clip.length
        self.skipped = 0
        self._count = 0
        self._ended = False

    def next(self) -> FedPicture | None:
        shot = self._clip.read()
        if shot is None and not self._count:
            raise self._unusable(Reason.UNSUPPORTED)
        self._ended = shot is None
        if shot is None or (self._until is not None and shot.stream_time >= self._until):
            return None
        self._count += 1
        share = min(1.0, self._count / self.length) if self.length else 0.0
        return FedPicture(f"{self._count:06d}", shot.picture, shot.stream_time, shot.decode_seconds, share)

    def note(self) -> str:
        if not self._ended or self._count >= WHOLE * self.length:
            return ""
        return f"the film promises {self.length} pictures and ends after {self._count}: it is cut off or damaged"

    def close(self) -> None:
        self._clip.close()

    def _unusable(self, reason: Reason) -> Rejected:
        if reason is Reason.REFUSED:
            return Rejected(f"{self._path} may not be read by you; change its permissions")
        return Rejected(
            f"{self._path} holds no video that can be decoded here; give H.264 or H.265 in MP4 or Matroska, or pictures"
        )


class LiveFeed:
    """A camera or a drawn scene for so many seconds: newest picture wins."""

    def __init__(self, spec: CameraSpec, seconds: float) -> None:
        self._source: FrameSource = make_source(spec)
        self._seconds = seconds
        self._news = threading.Condition()
        self._newest: Shot | None = None
        self._lost: SourceLost | None = None
        self._first: float | None = None  # stream time
        self._count = 0
        self.rate = LIVE_RATE
        self.skipped = 0
        self._thread = threading.Thread(target=self._read, name="try source", daemon=True)
        self._source.open()

    def next(self) -> FedPicture | None:
        if self._thread.ident is None:  # read from now on: what came while the model was loaded is nobody's loss
            self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._newest or self._lost)
            shot, self._newest = self._newest, None
        if shot is None:
            if not self._count and self._lost:
                raise self._lost
            return None
        self._first = shot.stream_time if self._first is None else self._first
        if shot.stream_time - self._first >= self._seconds:
            return None
        self._count += 1
        passed = shot.stream_time - self._first
        return FedPicture(f"{self._count:06d}", shot.picture, passed, shot.decode_seconds, passed / self._seconds)

    def note(self) -> str:
        return f"{self.skipped} pictures came while the model was busy, and were not looked at" if self.skipped else ""

    def close(self) -> None:
        self._source.interrupt()
        if self._thread.ident is not None:
            self._thread.join(timeout=STALL_SECONDS + 1.0)
        if not self._thread.is_alive():  # else it hangs in its driver, and ends with this process
            self._source.close()

    def _read(self) -> None:
        try:
            while True:
                shot = self._source.read()
                with self._news:
                    self.skipped += self._newest is not None
                    self._newest = shot
                    self._news.notify()
        except SourceLost as lost:
            with self._news:
                self._lost = lost
                self._news.notify()
