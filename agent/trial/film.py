"""What a trial leaves to look at: an annotated film, or annotated pictures under their own names.

The film is H.264 in MP4, written in fragments that are joined at its end: after Ctrl-C it is whole, and after a kill it
still plays up to its last whole second. All pictures have the size of the first one, at most MAX_SIDE.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av

from agent.cameras.drawing import jpeg
from agent.cameras.letterbox import Pixels, resize_rgb
from agent.trial.feed import FedPicture
from protos.errors import Fatal, Rejected

MAX_SIDE = 1280  # pixels: a larger film shows no more on a laptop and takes four times as long to write
QUALITY = 90
_TICKS = 90_000  # per second
_MUXER = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
_OPTIONS = {"preset": "veryfast", "crf": "23", "threads": "1"}  # one thread: what it costs is in the figure of `draw`
_MAX_JPEG = 64 << 20


class Sink(Protocol):
    path: Path

    def add(self, pixels: Pixels, seen: FedPicture) -> None:
        """The annotated pixels of a picture. Raises Rejected where they cannot be written."""
        ...

    def close(self) -> None: ...


class Film:
    """Pictures at their own times, one after another."""

    def __init__(self, path: Path, rate: float) -> None:
        """Raises Fatal where this PyAV has no encoder, Rejected where the file cannot be made."""
        self.path = path
        if "libx264" not in av.codecs_available:
            raise Fatal("this PyAV has no encoder for H.264; install it anew with: pip install --force-reinstall av")
        try:
            self._container: Any = av.open(str(path), "w", format="mp4", options=_MUXER)
        except OSError as error:
            raise Rejected(f"{path} cannot be written: {error.strerror}") from error
        gap = max(1, round(rate))
        self._stream = self._container.add_stream("libx264", rate=gap, options={**_OPTIONS, "g": str(gap)})
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._size: tuple[int, int] | None = None  # height, width
        self._last = -1

    def add(self, pixels: Pixels, seen: FedPicture) -> None:
        height, width = self._size or self._start(pixels)
        frame = av.VideoFrame.from_ndarray(resize_rgb(pixels, height, width), format="rgb24")
        frame.pts = self._last = max(self._last + 1, round(seen.stream_time * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:
            raise Rejected(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        try:
            if self._size is not None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def _start(self, pixels: Pixels) -> tuple[int, int]:
        """The codec halves colour both ways, so sides are even."""
        height, width = (max(2, side // 2 * 2) for side in pixels.shape[:2])
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._size = height, width
        return height, width


class Album:
    """One JPEG for each picture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: set[str] = set()

    def add(self, pixels: Pixels, seen: FedPicture) -> None:
        write_jpeg(self.path / f"{self._free(seen.name)}.jpg", pixels)

    def close(self) -> None:
        return

    def _free(self, name: str) -> str:
        """`a.jpg` and `a.png` lie in one folder, and both are kept."""
        chosen, number = name, 1
        while chosen in self._names:
            number += 1
            chosen = f"{name}-{number}"
        self._names.add(chosen)
        return chosen


def write_jpeg(path: Path, pixels: Pixels) -> None:
    """Raises Rejected."""
    try:
        path.write_bytes(jpeg(pixels, QUALITY, _MAX_JPEG))
    except OSError as error:
        raise Rejected(f"{path} cannot be written: {error.strerror}") from error
