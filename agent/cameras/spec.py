"""What a camera is told to be: source URLs and rates, parsed and checked where they enter. Pure.

    rtsp://user:pass@host:554/stream   rtsps://…      TCP only
    file:///srv/clip.mp4                               looped in real time
    device:///dev/video0?size=640x360&rate=30          V4L2
    synthetic://harbour?seed=1&width=640&height=360&epoch=1795000000

A source may hold credentials, so its text is in no repr, log or error here. Every refusal is one sentence that repeats
nothing but the scheme, the host or a parameter's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from protos.errors import Rejected
from protos.ids import CameraName, camera_name

MAX_RATE = 60.0  # frames per second
MAX_URL = 2048  # characters
SIDES = range(64, 3841)  # pixels
SCENES = ("harbour",)


@dataclass(frozen=True)
class Rtsp:
    """A network camera. `url` holds credentials."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class File:
    path: str


@dataclass(frozen=True)
class Device:
    """`size` and `rate` are asked of the device; None leaves its own choice."""

    path: str
    size: tuple[int, int] | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Synthetic:
    """A drawn scene. Its time is wall time since `epoch` (unix seconds): the truth of any frame can be drawn again."""

    scene: str
    seed: int = 1
    width: int = 640
    height: int = 360
    epoch: float = 0.0

    def scene_time(self, captured_unix_ns: int) -> float:
        return captured_unix_ns / 1e9 - self.epoch


Source = Rtsp | File | Device | Synthetic


@dataclass(frozen=True)
class CameraSpec:
    name: CameraName
    source: Source
    rate: float  # frames due per second


def parse(name: str, source: str, rate: float) -> CameraSpec:
    """Raises Rejected with the sentence an operator needs."""
    if not (math.isfinite(rate) and 0 < rate <= MAX_RATE):
        raise Rejected(f"rate {rate:g} must be above 0 and at most {MAX_RATE:g} frames per second")
    return CameraSpec(camera_name(name), parse_source(source), float(rate))


def parse_source(text: str) -> Source:
    """Raises Rejected."""
    if len(text) > MAX_URL or any(character.isspace() or not character.isprintable() for character in text):
        raise Rejected(f"a camera's source must be a URL of at most {MAX_URL} characters without spaces")
    url = _split(text)
    parser = _PARSERS.get(url.scheme)
    if parser is None:
        raise Rejected(f"a camera's source must start with one of {', '.join(f'{scheme}://' for scheme in _PARSERS)}")
    return parser(text, url)


def hangs_in_its_driver(text: str) -> bool:
    """May a read of this source never come back, and keep the source from whoever opens it next?"""
    return text.startswith("device:")


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port  # parsed on access
    except ValueError:
        raise Rejected("a camera's source must be a URL such as rtsp://host:554/stream") from None
    return url


def _rtsp(text: str, url: SplitResult) -> Rtsp:
    if not url.hostname:
        raise Rejected(f"{url.scheme}:// needs a host, as in {url.scheme}://192.168.1.20:554/stream")
    if url.fragment:
        raise Rejected("a '#' in a camera's source must be written as %23")
    return Rtsp(text)


def _file(_: str, url: SplitResult) -> File:
    if url.query or url.fragment:
        raise Rejected("a '?' or '#' in a file's path must be written as %3F or %23")
    return File(_local_path(url, "file:///srv/clip.mp4"))


def _device(_: str, url: SplitResult) -> Device:
    path = _local_path(url, "device:///dev/video0")
    if not path.startswith("/dev/"):
        raise Rejected("a device lies below /dev, as in device:///dev/video0")
    query = _query(url, ("size", "rate"))
    return Device(path, _size(query["size"]) if "size" in query else None, _optional_rate(query))


def _synthetic(_: str, url: SplitResult) -> Synthetic:
    if url.netloc not in SCENES or url.path.strip("/"):
        raise Rejected(f"the synthetic scene must be one of: {', '.join(SCENES)}, as in synthetic://harbour?seed=1")
    query = _query(url, ("seed", "width", "height", "epoch"))
    return Synthetic(
        url.netloc,
        _whole(query, "seed", 1, range(2**31)),
        _whole(query, "width", 640, SIDES),
        _whole(query, "height", 360, SIDES),
        _number(query, "epoch", 0.0),
    )


_PARSERS: Mapping[str, Callable[[str, SplitResult], Source]] = {
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "file": _file,
    "device": _device,
    "synthetic": _synthetic,
}


def _local_path(url: SplitResult, example: str) -> str:
    if url.netloc not in ("", "localhost") or not url.path.startswith("/") or url.path == "/":
        raise Rejected(f"{url.scheme}:// needs an absolute path with three slashes, as in {example}")
    path = unquote(url.path)
    if not path.isprintable():
        raise Rejected(f"the path of {url.scheme}:// holds a character that cannot be printed")
    return path


def _query(url: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    unknown = sorted(query.keys() - set(known))
    if unknown:
        raise Rejected(f"{url.scheme}:// knows the parameters {', '.join(known)}, not {unknown[0][:40]!r}")
    return query


def _whole(query: Mapping[str, str], key: str, default: int, allowed: range) -> int:
    text = query.get(key, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) not in allowed:
        raise Rejected(f"{key} must be a whole number from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _number(query: Mapping[str, str], key: str, default: float) -> float:
    try:
        value = float(query.get(key, default))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Rejected(f"{key} must be a number")
    return value


def _optional_rate(query: Mapping[str, str]) -> float | None:
    if "rate" not in query:
        return None
    value = _number(query, "rate", 0.0)
    if not 0 < value <= 240:
        raise Rejected("a device's rate must be above 0 and at most 240")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if match is None:
        raise Rejected("a device's size is written as 640x360")
    return int(match[1]), int(match[2])
