"""What the pictures of a camera cost, decoded as capture workers do, in one thread, and fitted to the model's input.

Without a source it is the demo's harbour, drawn and coded here as the demo's clip is.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.bench.figures import Film
from agent.cameras import demo_clip
from agent.cameras.letterbox import Pixels
from agent.trial.feed import Feed, LiveFeed, opened
from agent.types import Geometry, ModelInput
from protos.errors import Rejected
from protos.secrets import masked

DRAWN = "a drawn harbour"
DRAWN_SECONDS = 2.0  # of film; it is read again and again


@dataclass(frozen=True)
class Sample:
    """A picture as the model gets it, [height, width, 3]."""

    pixels: Pixels
    geometry: Geometry


@dataclass
class _Costs:
    wanted: ModelInput
    pixels: Pixels
    size: tuple[int, int] = (0, 0)  # of the pictures: width, height
    geometry: Geometry | None = None
    decode: list[float] = field(default_factory=list)
    fit: list[float] = field(default_factory=list)
    first: float = 0.0  # stream time
    last: float = 0.0

    @classmethod
    def of(cls, wanted: ModelInput) -> _Costs:
        return cls(wanted, np.empty((wanted.height, wanted.width, 3), np.uint8))

    def read(self, feed: Feed, until: float, stop: threading.Event) -> None:
        """To the feed's end, at most until then; one picture at least."""
        while (seen := feed.next()) is not None:
            started = time.perf_counter()
            self.geometry = seen.picture.fit(self.wanted, self.pixels)
            self.fit.append(time.perf_counter() - started)
            self.decode.append(seen.decode_seconds)
            self.size = (seen.picture.width, seen.picture.height)
            self.last = seen.stream_time
            if time.perf_counter() >= until or stop.is_set():
                return


def measured(source: str, wanted: ModelInput, seconds: float, stop: threading.Event) -> tuple[Film, Sample]:
    """Blocks for so long, and while the film is drawn.

    Raises:
        Rejected: no source, or pictures, which are no stream.
        SourceLost: a live source that does not answer.
    """
    with _named(source) as name:
        costs, rate = _Costs.of(wanted), 0.0
        until = time.perf_counter() + seconds
        while not costs.decode or (time.perf_counter() < until and not stop.is_set()):
            with closing(opened(name, seconds if "://" in source else None)) as feed:
                if not feed.rate:
                    raise Rejected(f"{masked(source)} is no film; name a video or a camera, such as rtsp://…")
                costs.read(feed, until, stop)
                rate = _rate(feed, costs)
    assert costs.geometry is not None
    told = masked(source) if source else DRAWN
    film = Film(told, *costs.size, rate, tuple(costs.decode), tuple(costs.fit))
    return film, Sample(costs.pixels, costs.geometry)


def _rate(feed: Feed, costs: _Costs) -> float:
    """A live source says nothing of its own: what came, looked at or not, in its time."""
    if not isinstance(feed, LiveFeed) or costs.last <= 0:
        return feed.rate
    return round((len(costs.decode) - 1 + feed.skipped) / costs.last, 1)


@contextmanager
def _named(source: str) -> Iterator[str]:
    if source:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as place:
        path = Path(place) / "drawn.mp4"
        demo_clip.write(path, seconds=DRAWN_SECONDS)
        yield str(path)
