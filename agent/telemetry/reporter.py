"""Everything the box has to tell, brought to the outbox and the metrics: frames, windows, camera health, its own cost.

Rules that hold here: every due frame is counted, in a window and in the metrics; only answered frames become
detections, at most so many a second as desired state says, and beside these each in which something happened; nothing
here waits for the network, or for the disk. What the box spends is measured oftener than it is told: a box at rest says
it once an hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.offload.decisions import Decision
from agent.offload.standing import Standing
from agent.ports import Clock
from agent.telemetry import nodestats, records
from agent.telemetry.counts import OutcomeWindows
from agent.telemetry.metrics import Metrics
from agent.telemetry.nodestats import Figures, notable
from agent.telemetry.outbox import Outbox
from agent.telemetry.sampling import Sampling
from agent.types import CameraState, Finished, Tap
from protos.decided import Decided
from protos.ids import CameraName, DeploymentName
from protos.outcomes import Outcome

WINDOW_SECONDS = 2.0
STATS_SECONDS = 10.0


@dataclass
class Reporter:
    outbox: Outbox
    metrics: Metrics
    clock: Clock
    state_dir: Path
    tell: Callable[[Finished], None] = lambda _frame: None  # applications, of what is recorded
    standings: Callable[[float], Mapping[DeploymentName, Standing]] = lambda _now: {}  # at a monotonic moment
    per_second: dict[DeploymentName, float] = field(default_factory=dict)  # detections recorded, per camera
    _windows: OutcomeWindows = field(init=False)
    _sampling: Sampling = field(default_factory=Sampling)
    _cpu: nodestats.CpuMeter = field(default_factory=nodestats.CpuMeter)
    _told: Figures | None = None
    _told_at: float = float("-inf")  # monotonic

    def __post_init__(self) -> None:
        self._windows = OutcomeWindows(self._unix_ms())

    def finished(self, frame: Finished) -> None:
        """A frame ended."""
        self._windows.finished(frame)
        self.metrics.finished(frame)
        wanted = self.per_second.get(frame.tap.deployment, 0.0)
        if frame.release is None:
            return
        if self._sampling.wanted(frame.tap, wanted, self.clock.monotonic()) or frame.happened:
            self.outbox.put(records.frame(frame))
            self.tell(frame)

    def decided(self, made: Decision) -> None:
        """Where a frame went that ended."""
        self._windows.went(Tap(made.camera, made.deployment), Decided(made.route))

    def superseded(self, tap: Tap, frames: int) -> None:
        """Frames that a newer one replaced before they were announced."""
        self._windows.unseen(tap, Outcome.SUPERSEDED, frames)
        self.metrics.unseen(tap, Outcome.SUPERSEDED, frames)

    def camera(self, name: CameraName, state: CameraState, reason: str) -> None:
        """A camera's state changed."""
        self.outbox.put(records.camera_health(name, state, reason, self._unix_ms()))

    async def run(self) -> None:
        """Close windows and measure the box, until cancelled."""
        measured = float("-inf")
        while True:
            await self.clock.sleep(WINDOW_SECONDS)
            self.flush()
            if self.clock.monotonic() - measured >= STATS_SECONDS:
                measured = self.clock.monotonic()
                await self._measure()

    def flush(self) -> None:
        """What was counted so far, into the outbox."""
        for window in self._windows.close(self._unix_ms(), self.standings(self.clock.monotonic())):
            self.outbox.put(records.outcomes(window))

    async def _measure(self) -> None:
        now = self.clock.monotonic()
        stats = await asyncio.to_thread(nodestats.measure, self._cpu, now, self.state_dir)
        held = self.outbox.summary()
        figures = Figures(stats, held.waiting_rows, held.dropped_rows)
        if self._told is None or now - self._told_at >= nodestats.QUIET_SECONDS or notable(self._told, figures):
            self._told, self._told_at = figures, now
            self.outbox.put(records.node_stats(stats, held.waiting_rows, held.dropped_rows, self._unix_ms()))
        self.metrics.process(stats, nodestats.own_usage())

    def _unix_ms(self) -> int:
        return int(self.clock.unix() * 1000)
