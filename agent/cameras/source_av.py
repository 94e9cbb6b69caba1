"""Sources decoded by FFmpeg through PyAV: RTSP over TCP, files looped in real time, V4L2 devices.

Rules that hold here: the only file of the agent that imports av; one decoder thread per camera; a file may not lead
FFmpeg anywhere else (no network, no playlists); FFmpeg's error texts name the URL and therefore stop here.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import pkgutil
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import av
import numpy as np

from agent.cameras.access_units import AccessUnits
from agent.cameras.capture_clock import CaptureClock
from agent.cameras.colour import Matrix, guess
from agent.cameras.letterbox import Pixels
from agent.cameras.loans import OWN_HANDS, Loans, at_address
from agent.cameras.pacer import LoopClock
from agent.cameras.picture import PlanarPicture, RgbPicture
from agent.cameras.source import (
    CONNECT_SECONDS,
    KEY_SECONDS,
    STALL_SECONDS,
    Picture,
    Reason,
    Shot,
    SourceLost,
    unix_ns_of,
)
from agent.cameras.spec import Device, File, Rtsp

MAX_PIXELS = 7680 * 4320  # a stream that claims more wants our memory
CONTAINERS = "mov,mp4,matroska,webm,mpegts,avi,h264,hevc,mjpeg,flv"
_UNTIMED = frozenset({"h264", "hevc", "avi"})  # no times of display in there: pictures follow each other at a rate
_USUAL_RATE = 25.0  # of an untimed file that does not tell its own
BEHIND_SECONDS = 1.0  # a file that fell back further goes on from now, as a live stream would
_UNDECODED = 64  # packets whose times are remembered
_PRODUCED = struct.Struct("=q")  # AVProducerReferenceTime begins with the sender's wall time in unix microseconds
_MATRICES = {1: Matrix.BT709, 4: Matrix.BT601, 5: Matrix.BT601, 6: Matrix.BT601}  # ITU-T H.273
_FULL_RANGE = 2
_NONSENSE = (av.error.InvalidDataError, av.error.PatchWelcomeError)
_APART = frozenset({"av.__main__", "av.datasets"})  # not for reading streams
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_RGB = frozenset({"rgb24", "bgr24", "gbrp", "rgba", "bgra", "rgb0", "bgr0"})
_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (av.error.HTTPUnauthorizedError, Reason.AUTH_FAILED),
    (av.error.HTTPForbiddenError, Reason.AUTH_FAILED),
    (av.error.HTTPNotFoundError, Reason.NOT_FOUND),
    (av.error.FileNotFoundError, Reason.NOT_FOUND),
    (av.error.IsADirectoryError, Reason.NOT_FOUND),
    (av.error.ConnectionRefusedError, Reason.REFUSED),
    (av.error.PermissionError, Reason.REFUSED),
    (av.error.EOFError, Reason.ENDED),
    (av.error.ConnectionResetError, Reason.ENDED),
    (av.error.BrokenPipeError, Reason.ENDED),
    (av.error.InvalidDataError, Reason.UNSUPPORTED),
    (av.error.LookupError, Reason.UNSUPPORTED),
    (av.error.PatchWelcomeError, Reason.UNSUPPORTED),
)


_BY_NUMBER = {
    errno.ENOENT: Reason.NOT_FOUND,
    errno.ENOTDIR: Reason.NOT_FOUND,
    errno.EISDIR: Reason.NOT_FOUND,
    errno.EACCES: Reason.REFUSED,
    errno.EPERM: Reason.REFUSED,
    errno.EBUSY: Reason.BUSY,
    errno.ENODEV: Reason.NOT_FOUND,  # unplugged
    errno.ENXIO: Reason.NOT_FOUND,
    errno.ENOTTY: Reason.NOT_FOUND,  # a device, and no camera
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ENETUNREACH: Reason.UNREACHABLE,
}


def load_all() -> None:
    """Import what av would import when it first meets a kind of stream, for a process that may open no file then."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in _APART:
            importlib.import_module(module.name)


def _reason(error: Exception) -> Reason | None:
    by_kind = (reason for kind, reason in _REASONS if isinstance(error, kind))
    return next(by_kind, _BY_NUMBER.get(getattr(error, "errno", None) or 0))


@contextlib.contextmanager
def _translated(otherwise: Reason) -> Iterator[None]:
    """FFmpeg's errors as ours; `from None`, because their texts hold the URL."""
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceLost(_reason(error) or otherwise) from None


class _Decoder:
    """One opened container: packets in, pictures out. Errors of single packets are passed over."""

    def __init__(self, url: str, options: dict[str, str], file_format: str | None = None, *, live: bool) -> None:
        self._live = live
        timeouts = (CONNECT_SECONDS, STALL_SECONDS) if live else None
        self._container: Any = av.open(url, format=file_format, options=options, timeout=timeouts)
        if not self._container.streams.video:
            self._container.close()
            raise SourceLost(Reason.UNSUPPORTED)
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:  # nothing here decodes it
            self._container.close()
            raise SourceLost(Reason.UNSUPPORTED)
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self._packets: Iterator[Any] = self._container.demux(self._stream)
        self._decoded: list[Any] = []
        # RTSP is read unparsed (see access_units); motion JPEG comes in whole pictures anyway.
        coded = self._stream.codec_context.name
        self._units = AccessUnits(coded) if self._container.format.name == "rtsp" and coded != "mjpeg" else None
        self.arrivals: dict[int, float] = {}  # by time stamp: when the packet came
        self.sent: dict[int, float] = {}  # and the camera's wall time, once a sender report has told it
        self.seconds = 0.0  # spent on decoding since the last picture

    def next(self, interrupted: threading.Event | None = None) -> Any | None:
        """The next picture in order of display, or None where the stream ends or is `interrupted`."""
        deadline = time.monotonic() + KEY_SECONDS if self._live else float("inf")
        while not self._decoded:
            packet = next(self._packets, None)
            if packet is None or (interrupted and interrupted.is_set()):
                return None
            if time.monotonic() > deadline:
                raise SourceLost(Reason.UNSUPPORTED)
            self._take(packet)
        return self._decoded.pop(0)

    @property
    def period(self) -> float | None:
        """Seconds between pictures of a file that has no times; None where every picture has its own."""
        if self._container.format.name not in _UNTIMED:
            return None
        return 1.0 / float(self._stream.guessed_rate or _USUAL_RATE)

    @property
    def rate(self) -> float:
        """Pictures per second, as the container says or has them guessed."""
        return float(self._stream.average_rate or self._stream.guessed_rate or _USUAL_RATE)

    @property
    def length(self) -> int:
        """Pictures, as the container says or its duration makes likely; 0 where it says nothing."""
        duration = self._container.duration
        return int(self._stream.frames or (duration or 0) / 1e6 * self.rate)

    def rewind(self) -> None:
        self._container.seek(0)
        self._packets = self._container.demux(self._stream)

    def close(self) -> None:
        with contextlib.suppress(av.error.FFmpegError):
            self._container.close()

    def _take(self, packet: Any) -> None:
        """A packet of the container: a picture, or with RTSP a piece of one."""
        now = time.monotonic()
        if packet.has_sidedata("prft") and packet.pts is not None:
            _remember(self.sent, packet.pts, _PRODUCED.unpack_from(packet.get_sidedata("prft"))[0] / 1e6)
        if self._units is None or packet.pts is None:
            self._decode(packet, now)
            return
        for unit in self._units.push(bytes(packet), packet.pts, now):
            whole = av.Packet(unit.content)
            whole.pts, whole.time_base = unit.stamp, packet.time_base
            self._decode(whole, unit.arrival)

    def _decode(self, packet: Any, arrival: float) -> None:
        if packet.pts is not None:
            _remember(self.arrivals, packet.pts, arrival)
        started = time.perf_counter()
        with contextlib.suppress(*_NONSENSE):
            self._decoded += self._stream.codec_context.decode(packet)
        self.seconds += time.perf_counter() - started


def _remember(times: dict[int, float], stamp: int, seconds: float) -> None:
    times[stamp] = seconds
    if len(times) > _UNDECODED:
        del times[next(iter(times))]


def _of_file(fd: int) -> _Decoder:
    """Of a descriptor, which is closed here: FFmpeg keeps its own. It may follow no name that the file holds."""
    options = {"protocol_whitelist": "fd", "format_whitelist": CONTAINERS, "fd": str(fd)}
    try:
        return _Decoder("fd:", options, live=False)
    finally:
        os.close(fd)


class _FFmpegSource:
    """What all sources share: a decoder while they are open, and an end that any thread may ask for."""

    def __init__(self) -> None:
        self._decoder: _Decoder | None = None
        self._interrupted = threading.Event()

    def pace(self, rate: float) -> None:
        """Pictures come as they come, and each may be needed to decode the next."""

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


class _Live(_FFmpegSource):
    """What network cameras and devices share: pictures come when they come."""

    resting = False
    OPTIONS: ClassVar[dict[str, str]] = {"fflags": "nobuffer", "flags": "low_delay"}

    def __init__(self) -> None:
        super().__init__()
        self._clock = CaptureClock()

    def open(self) -> None:
        self._interrupted.clear()
        self._clock = CaptureClock()
        started = time.monotonic()
        try:
            with _translated(Reason.UNREACHABLE):
                self._decoder = self._connect()
        except SourceLost:
            if time.monotonic() - started < CONNECT_SECONDS:
                raise
            raise SourceLost(Reason.UNREACHABLE) from None  # cut off while it waited: the error's kind means nothing

    def read(self) -> Shot:
        if self._decoder is None or self._interrupted.is_set():
            raise SourceLost(Reason.ENDED)
        with _translated(Reason.STALLED):
            frame = self._decoder.next(self._interrupted)
        if frame is None or self._interrupted.is_set():
            raise SourceLost(Reason.ENDED)
        arrival = self._decoder.arrivals.pop(frame.pts, None) or time.monotonic()
        stream_time = arrival if frame.time is None else frame.time
        sent = self._decoder.sent.pop(frame.pts, None)
        captured, ts_source = self._clock.captured(stream_time, sent, arrival)
        return _shot(frame, self._decoder, stream_time, captured, ts_source)

    def _connect(self) -> _Decoder:
        raise NotImplementedError


class RtspSource(_Live):
    """FrameSource over a network camera."""

    def __init__(self, spec: Rtsp, loans: Loans = OWN_HANDS) -> None:
        super().__init__()
        self._spec = spec
        self._loans = loans

    def _connect(self) -> _Decoder:
        try:
            url = at_address(self._spec.url, self._loans)
        except TimeoutError:
            raise SourceLost(Reason.UNREACHABLE) from None
        options = {
            **self.OPTIONS,
            "fflags": "nobuffer+noparse",
            "rtsp_transport": "tcp",
            "allowed_media_types": "video",
            # The description names the codec; looking at half a second of pictures gives what it leaves out.
            "analyzeduration": "500000",
            "fpsprobesize": "0",
        }
        try:
            return _Decoder(url, options, live=True)
        except av.error.InvalidDataError:  # in the talk before any stream: its codec is looked at later
            raise SourceLost(Reason.NO_RTSP) from None


class DeviceSource(_Live):
    """FrameSource over V4L2."""

    def __init__(self, spec: Device) -> None:
        super().__init__()
        self._spec = spec

    def _connect(self) -> _Decoder:
        options = dict(self.OPTIONS)
        if self._spec.size:
            options["video_size"] = "{}x{}".format(*self._spec.size)
        if self._spec.rate:
            options["framerate"] = f"{self._spec.rate:g}"
        return _Decoder(self._spec.path, options, "v4l2", live=True)


class FileSource(_FFmpegSource):
    """FrameSource over a file, played in real time and again from its start, as if it were a camera."""

    def __init__(self, spec: File, loans: Loans = OWN_HANDS) -> None:
        super().__init__()
        self._spec = spec
        self._loans = loans
        self._clock = LoopClock()
        self._started = 0.0
        self._shown = 0  # pictures of this turn
        self.resting = False

    def open(self) -> None:
        self._interrupted.clear()
        self.resting = False
        self._clock = LoopClock()
        self._decoder = self._opened()
        self._started = time.monotonic()

    def read(self) -> Shot:
        if self._decoder is None:
            raise SourceLost(Reason.ENDED)
        self.resting = False
        frame = self._next_frame(self._decoder)
        self.resting = True
        stream_time = self._clock.stream_time(self._file_time(frame, self._decoder))
        due = self._started + stream_time
        late = time.monotonic() - due
        if self._interrupted.wait(max(0.0, -late)):
            raise SourceLost(Reason.ENDED)
        skipped = late if late > BEHIND_SECONDS else 0.0
        self._started += skipped
        return _shot(frame, self._decoder, stream_time, due + skipped, "clock", skipped)

    def _opened(self) -> _Decoder:
        self._shown = 0
        with _translated(Reason.UNSUPPORTED):
            try:
                fd = self._loans.file(self._spec.path)
            except TimeoutError:
                raise SourceLost(Reason.HUNG) from None
            return _of_file(fd)

    def _next_frame(self, decoder: _Decoder) -> Any:
        with _translated(Reason.ENDED):
            frame = decoder.next()
            if frame is None:
                frame = self._start_over(decoder).next()
        if frame is None:  # a whole turn without a picture
            raise SourceLost(Reason.UNSUPPORTED)
        return frame

    def _start_over(self, decoder: _Decoder) -> _Decoder:
        """A file without times has no place to seek to: it is opened again."""
        self._clock.start_over()
        if decoder.period is None:
            decoder.rewind()
            return decoder
        decoder.close()
        again = self._decoder = self._opened()
        return again

    def _file_time(self, frame: Any, decoder: _Decoder) -> float:
        self._shown += 1
        if decoder.period is None:
            return frame.time or 0.0
        return (self._shown - 1) * decoder.period


class Clip:
    """A file once, from its start to its end, as fast as it is asked: for looking at what lies there, not a camera."""

    def __init__(self, path: str) -> None:
        """Raises SourceLost."""
        with _translated(Reason.UNSUPPORTED):
            self._decoder = _of_file(OWN_HANDS.file(path))
        self.rate = self._decoder.rate
        self.length = self._decoder.length
        self._shown = 0
        self._last = -1.0

    def read(self) -> Shot | None:
        """The next picture, or None at the end. A file that breaks off ends there. Stream time only grows."""
        with contextlib.suppress(SourceLost), _translated(Reason.ENDED):
            frame = self._decoder.next()
            if frame is not None:
                return self._timed(frame)
        return None

    def close(self) -> None:
        self._decoder.close()

    def _timed(self, frame: Any) -> Shot:
        period = self._decoder.period
        told = frame.time if period is None else self._shown * period
        self._shown += 1
        self._last = self._last + 1.0 / self.rate if told is None or told <= self._last else told
        return _shot(frame, self._decoder, self._last, time.monotonic(), "clock")


def _shot(
    frame: Any, decoder: _Decoder, stream_time: float, captured: float, ts_source: str, skipped: float = 0.0
) -> Shot:
    seconds, decoder.seconds = decoder.seconds, 0.0
    return Shot(_picture(frame), stream_time, captured, unix_ns_of(captured), ts_source, seconds, skipped)


def _picture(frame: Any) -> Picture:
    """The decoder's own planes where they are 8-bit planar YUV; anything else is converted by FFmpeg."""
    name = frame.format.name
    if name in _RGB:
        return RgbPicture(frame.to_ndarray(format="rgb24"))
    matrix = _MATRICES.get(int(frame.colorspace))
    full = name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
    if name not in _PLANAR:
        frame = frame.reformat(format="yuv422p" if name == "yuyv422" else "yuv420p")
    luma, u, v = (_pixels(plane) for plane in frame.planes[:3])
    return PlanarPicture((luma, u, v), guess(matrix, frame.height, full_range=full))


def _pixels(plane: Any) -> Pixels:
    """A view, no copy; lines may be longer in memory than in the picture."""
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]
