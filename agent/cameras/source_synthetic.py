"""A camera that is drawn: the harbour at the moment it is looked at.

It draws at the rate that is asked for, on a fixed grid of its own clock; when drawing falls behind, moments are left
out instead of being shown late.
"""

from __future__ import annotations

import threading
import time

from agent.cameras.harbour_scene import HarbourScene
from agent.cameras.picture import RgbPicture
from agent.cameras.source import Reason, Shot, SourceLost, unix_ns_of
from agent.cameras.spec import Synthetic


class SyntheticSource:
    """FrameSource over HarbourScene."""

    resting = True  # there is nothing outside

    def __init__(self, spec: Synthetic, rate: float) -> None:
        self._spec = spec
        self._period = 1.0 / rate
        self._interrupted = threading.Event()
        self._scene: HarbourScene | None = None
        self._started = 0.0
        self._tick = 0

    def open(self) -> None:
        self._scene = HarbourScene(self._spec.seed, self._spec.width, self._spec.height)
        self._interrupted.clear()
        self._started = time.monotonic()
        self._tick = 0

    def read(self) -> Shot:
        due = self._started + self._tick * self._period
        if self._scene is None or self._interrupted.wait(max(0.0, due - time.monotonic())):
            raise SourceLost(Reason.ENDED)
        # A box that was busy shows now what is now: the grid's missed moments are gone.
        missed = int((time.monotonic() - due) / self._period)
        self._tick += missed + 1
        return self._draw(self._scene, due + missed * self._period, missed * self._period)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._scene = None

    def _draw(self, scene: HarbourScene, captured: float, skipped: float) -> Shot:
        unix_ns = unix_ns_of(captured)
        started = time.perf_counter()
        pixels, _ = scene.render(self._spec.scene_time(unix_ns))
        seconds = time.perf_counter() - started
        return Shot(RgbPicture(pixels), captured - self._started, captured, unix_ns, "clock", seconds, skipped)
