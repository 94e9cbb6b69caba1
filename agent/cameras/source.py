"""The FrameSource port: where pictures come from, one stream per object, used by one thread.

A source is opened, read until it fails, closed, and opened again; nothing in it retries or waits on purpose, that is
the capture loop's business. Every failure is a SourceLost with one of the reasons below, within STALL_SECONDS of the
last word of the source, KEY_SECONDS of the last picture, or CONNECT_SECONDS of `open`; vendor errors and their texts,
which may hold the URL, never pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from agent.cameras.region import Cut
from agent.types import Geometry, ModelInput
from protos.errors import Retryable

if TYPE_CHECKING:  # numpy stays out of the agent's main process
    from agent.cameras.letterbox import Pixels

CONNECT_SECONDS = 5.0
HUNG_SECONDS = 10.0  # in one call of a source that does not rest: the system does not come back
STALL_SECONDS = (
    1.8  # without a word: seen within two seconds; cameras slower than one picture in that are not supported
)
KEY_SECONDS = 8.0  # of a stream that comes and gives no picture: until the next key picture, or nothing here decodes it


class Reason(StrEnum):
    """Why a source gave no more pictures."""

    AUTH_FAILED = "auth failed"
    NOT_FOUND = "not found"
    REFUSED = "refused"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    NO_RTSP = "no RTSP"
    STALLED = "stalled"
    HUNG = "hung"
    UNSUPPORTED = "unsupported codec"
    ENDED = "ended"
    FAULT = "fault"


SENTENCES = {
    Reason.AUTH_FAILED: "auth failed: the camera does not take this user and password; correct them in its source",
    Reason.NOT_FOUND: "not found: no stream, video file or camera lies at the source's path; check the path in it",
    Reason.REFUSED: "refused: nobody listens at the source's address, or access is denied; check host, port and rights",
    Reason.BUSY: "busy: another program has the device open; end it, or give this camera another device",
    Reason.UNREACHABLE: "unreachable: no answer from the source's host; check its name, the cable and the network",
    Reason.NO_RTSP: "no RTSP: what answers at the source's address speaks another protocol or hangs up; check the port",
    Reason.STALLED: f"stalled: connected, but nothing came for {STALL_SECONDS:g} s; look at the camera itself",
    Reason.HUNG: f"hung: the system gave nothing for {HUNG_SECONDS:g} s; look at the device, cable or disk behind it",
    Reason.UNSUPPORTED: "unsupported codec: no video that can be decoded; set the camera to H.264 or check the file",
    Reason.ENDED: "ended: the source closed the stream; it is opened again by itself",
    Reason.FAULT: "fault: the capture loop failed in a way of its own; the agent's log says where",
}


ABSENT = frozenset({Reason.REFUSED, Reason.UNREACHABLE})  # nobody was there
FROZEN = "frozen: the same picture for a minute, to the last bit; look at the camera, it may have to be restarted"


class SourceLost(Retryable):
    """No more pictures from this source until it is opened again."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(SENTENCES[reason])
        self.reason = reason


class Picture(Protocol):
    """Pixels in whatever form the decoder left them; may be kept after the source is closed."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def digest(self) -> int:
        """Of the pixels: equal where pictures are, different where they are not but for one in billions."""
        ...

    def cut(self, cut: Cut) -> Picture:
        """A part of it; looks into the same pixels."""
        ...

    def fit(self, wanted: ModelInput, out: Pixels, before: Geometry | None = None) -> Geometry:
        """Write the model's input into `out`, which holds one of the geometry `before` already, if any."""
        ...

    def rgb(self, max_side: int) -> Pixels:
        """RGB with its longer side at most `max_side`; a fresh array."""
        ...

    def grey(self, max_side: int) -> Pixels:
        """[height, width] with the longer side at most `max_side`: made to be cheap, not to be looked at."""
        ...


@dataclass(frozen=True)
class Shot:
    """One picture and its time."""

    picture: Picture
    stream_time: float  # seconds by the camera's clock; goes back only where that clock was set
    captured: float  # monotonic seconds, never later than the moment `read` returned
    captured_unix_ns: int
    ts_source: str  # "rtcp": by its sender reports; "arrival": when it came, less known delays; "clock": paced by us
    decode_seconds: float
    skipped: float = 0.0  # seconds of its own schedule that a source left out before this picture: the box was late


class FrameSource(Protocol):
    """A stream of pictures at its own pace."""

    @property
    def resting(self) -> bool:
        """Does a call under way wait on purpose, for a picture's time to come? Else it waits for the world outside."""
        ...

    def pace(self, rate: float) -> None:
        """From any thread: no more pictures a second are wanted. One that chooses its own gives no more; a stream that
        comes as it comes, and of which every picture is needed to decode the next, goes on."""
        ...

    def open(self) -> None:
        """Connect. Raises SourceLost."""
        ...

    def read(self) -> Shot:
        """Wait for the next picture. Raises SourceLost, after which only `close` may follow."""
        ...

    def interrupt(self) -> None:
        """From any thread: `read` ends with SourceLost soon, at the latest after STALL_SECONDS."""
        ...

    def close(self) -> None:
        """Give everything back. Safe to call twice, and on a source that never opened."""
        ...


def unix_ns_of(captured: float) -> int:
    """Wall time of a moment in monotonic seconds."""
    return time.time_ns() - round((time.monotonic() - captured) * 1e9)
