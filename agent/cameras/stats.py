"""What is known about a camera, for reports, metrics and pages. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from agent.cameras.messages import CameraMeasure
from agent.types import CameraState

RATE_SECONDS = 5.0  # over which pictures per second are counted


@dataclass(frozen=True)
class CameraStats:
    state: CameraState = CameraState.STARTING
    reason: str = ""  # why it does not run, in one sentence
    restarts: int = 0  # how often its source or its worker was lost
    frames_per_second: float = 0.0  # pictures the camera gives, due or not
    last_frame_unix_ns: int = 0
    width: int = 0
    height: int = 0
    lowered_rate: float = 0.0  # frames a second that are due, where overload has lowered them; else 0
    refused: str = ""  # why the newest settings were refused while the last good ones run
    pictures: int = 0  # since the agent started
    cpu_seconds: float = 0.0  # of its capture thread, since the agent started


@dataclass
class Meter:
    """Turns a worker's totals, which start at zero with each worker, into the agent's."""

    _before: tuple[int, float] = (0, 0.0)  # of workers that are gone
    _worker: tuple[int, float] = (0, 0.0)
    _counts: deque[tuple[float, int]] = field(default_factory=deque)

    def measured(self, stats: CameraStats, measure: CameraMeasure, now: float) -> CameraStats:
        if measure.pictures < self._worker[0]:
            self._before = (stats.pictures, stats.cpu_seconds)
        self._worker = (measure.pictures, measure.cpu_seconds)
        pictures = self._before[0] + measure.pictures
        return replace(
            stats,
            frames_per_second=self._rate(pictures, now),
            last_frame_unix_ns=measure.last_unix_ns or stats.last_frame_unix_ns,
            width=measure.width or stats.width,
            height=measure.height or stats.height,
            pictures=pictures,
            cpu_seconds=self._before[1] + measure.cpu_seconds,
        )

    def _rate(self, pictures: int, now: float) -> float:
        counts = self._counts
        counts.append((now, pictures))
        while len(counts) > 2 and counts[1][0] <= now - RATE_SECONDS:
            counts.popleft()
        since, before = counts[0]
        return (pictures - before) / (now - since) if now > since else 0.0
