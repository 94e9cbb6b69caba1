"""A camera that is drawn: the harbour at the moment it is looked at.

It draws at the rate that is asked for, evenly by its own clock; when drawing falls behind, moments are left out instead
of being shown late.
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
        self._due = 0.0  # when the next picture is

    def open(self) -> None:
        self._scene = HarbourScene(self._spec.seed, self._spec.width, self._spec.height)
        self._interrupted.clear()
        self._started = self._due = time.monotonic()

    def read(self) -> Shot:
        due, period = self._due, self._period
        if self._scene is None or self._interrupted.wait(max(0.0, due - time.monotonic())):
            raise SourceLost(Reason.ENDED)
        # A box that was busy shows now what is now: the grid's missed moments are gone.
        missed = int((time.monotonic() - due) / period)
        self._due = due + (missed + 1) * period
        return self._draw(self._scene, due + missed * period, missed * period)

    def pace(self, rate: float) -> None:
        self._period = 1.0 / rate

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
