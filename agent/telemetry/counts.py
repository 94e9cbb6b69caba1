"""How frames ended, counted per tap in windows. Pure.

Every due frame is counted once, so a window's `due` equals the sum of its counts, and sums over windows equal the
frames due since the start. Percentiles are of answered frames of the window: those a release gave boxes for, in time or
not. A window without a frame says nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from agent.telemetry.records import OutcomeWindow
from agent.types import Finished, Tap
from protos.outcomes import Outcome

MOST_LATENCIES = 4096  # kept of one window and tap: 60 frames/s for a minute


@dataclass
class _Open:
    counts: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    uplink_bytes: int = 0


@dataclass
class OutcomeWindows:
    """The windows that are open now, one per tap that had a frame."""

    start_unix_ms: int
    _open: dict[Tap, _Open] = field(default_factory=dict)

    def finished(self, frame: Finished) -> None:
        window = self._open.setdefault(frame.tap, _Open())
        window.counts[frame.outcome] += 1
        window.uplink_bytes += frame.uplink_bytes
        if frame.release is not None and len(window.latencies) < MOST_LATENCIES:
            window.latencies.append(frame.latency)

    def unseen(self, tap: Tap, outcome: Outcome, frames: int) -> None:
        """Frames that ended before they were announced: the capture worker counts them."""
        if frames > 0:
            self._open.setdefault(tap, _Open()).counts[outcome] += frames

    def close(self, now_unix_ms: int) -> list[OutcomeWindow]:
        """End all windows and begin new ones. A clock that was set back makes an empty span, never a negative one."""
        start, end = self.start_unix_ms, max(now_unix_ms, self.start_unix_ms)
        closed = [_closed(tap, window, start, end) for tap, window in sorted(self._open.items())]
        self.start_unix_ms, self._open = now_unix_ms, {}
        return closed


def percentile(sorted_values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; 0 of none."""
    if not sorted_values:
        return 0.0
    rank = -int(-share * len(sorted_values) // 1)  # rounded up
    return sorted_values[max(0, min(rank, len(sorted_values)) - 1)]


def _closed(tap: Tap, window: _Open, start: int, end: int) -> OutcomeWindow:
    latencies = sorted(window.latencies)
    return OutcomeWindow(
        tap=tap,
        start_unix_ms=start,
        end_unix_ms=end,
        counts=dict(window.counts),
        latency_p50=percentile(latencies, 0.5),
        latency_p95=percentile(latencies, 0.95),
        uplink_bytes=window.uplink_bytes,
    )
