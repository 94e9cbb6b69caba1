"""How frames ended, counted per tap in windows. Pure.

Every due frame is counted once, so a window's `due` equals the sum of its counts, and sums over windows equal the
frames due since the start. Latencies are those of answered frames, which a release gave boxes for, in time or not:
counted apart for the box and the cloud, so that they also say where inference ran. A window without a frame says
nothing. What a deployment decided against goes with the first of its windows, so that it is told once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.offload.standing import Standing
from agent.telemetry.records import Latencies, OutcomeWindow
from agent.types import Finished, Tap, Where
from protos.decided import Decided
from protos.ids import DeploymentName
from protos.outcomes import LATENCY_BOUNDS_MS, Outcome, Stage


@dataclass
class OpenLatencies:
    """Of a window that is open; the list grows to the highest bucket that was hit."""

    frames: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        bucket = bisect_left(LATENCY_BOUNDS_MS, seconds * 1000)
        self.frames += [0] * (bucket + 1 - len(self.frames))
        self.frames[bucket] += 1
        self.seconds += seconds

    def closed(self) -> Latencies:
        return Latencies(tuple(self.frames), self.seconds)


@dataclass
class _Open:
    counts: Counter[str] = field(default_factory=Counter)
    box: OpenLatencies = field(default_factory=OpenLatencies)
    cloud: OpenLatencies = field(default_factory=OpenLatencies)
    uplink_bytes: int = 0
    stages: dict[Stage, float] = field(default_factory=dict)  # seconds
    routes: Counter[Decided] = field(default_factory=Counter)


def stages(frame: Finished) -> dict[Stage, float]:
    """Where the time of an answered frame went, in seconds; they add up to its latency.

    What was measured is cut where it overlaps (a hedged frame infers while it is in the cloud); what is left over is
    the answer's way on the box, and the wait of a frame that a cloud node answered.
    """
    told, left = frame.stages, frame.latency
    local = frame.where == Where.LOCAL
    wait = told.get("queue", 0.0) - told.get("decode", 0.0)
    ways = {Stage.DECODE: told.get("decode", 0.0)}
    if local:
        ways |= {Stage.WAIT: wait, Stage.INFER: told.get("infer", 0.0)}
    else:
        ways |= {Stage.ENCODE: told.get("encode", 0.0), Stage.CLOUD: told.get("cloud", 0.0)}
    spent: dict[Stage, float] = {}
    for stage, seconds in ways.items():
        spent[stage] = min(max(0.0, seconds), left)
        left -= spent[stage]
    spent[Stage.ANSWER if local else Stage.WAIT] = left
    return spent


@dataclass
class OutcomeWindows:
    """The windows that are open now, one per tap that had a frame."""

    start_unix_ms: int
    _open: dict[Tap, _Open] = field(default_factory=dict)

    def finished(self, frame: Finished) -> None:
        window = self._open.setdefault(frame.tap, _Open())
        window.counts[frame.outcome] += 1
        window.uplink_bytes += frame.uplink_bytes
        if frame.release is not None:
            (window.box if frame.where == Where.LOCAL else window.cloud).add(frame.latency)
            for stage, seconds in stages(frame).items():
                window.stages[stage] = window.stages.get(stage, 0.0) + seconds

    def unseen(self, tap: Tap, outcome: Outcome, frames: int) -> None:
        """Frames that ended before they were announced: the capture worker counts them."""
        if frames > 0:
            self._open.setdefault(tap, _Open()).counts[outcome] += frames

    def went(self, tap: Tap, route: Decided) -> None:
        """Where a frame went that came to a lane, beside how it `finished`."""
        self._open.setdefault(tap, _Open()).routes[route] += 1

    def close(
        self, now_unix_ms: int, standings: Mapping[DeploymentName, Standing] | None = None
    ) -> list[OutcomeWindow]:
        """End all windows and begin new ones. A clock that was set back makes an empty span, never a negative one."""
        start, end = self.start_unix_ms, max(now_unix_ms, self.start_unix_ms)
        looks = dict(standings or {})
        closed = [
            _closed(tap, window, start, end, looks.pop(tap.deployment, None))
            for tap, window in sorted(self._open.items())
        ]
        self.start_unix_ms, self._open = now_unix_ms, {}
        return closed


def looked(standing: Standing) -> dict[Decided, float]:
    """What one look at it adds to the sums."""
    seen = {Decided.LOOKS: 1.0, Decided.LOAD: standing.load, Decided(f"rung_{standing.rung}"): 1.0}
    if standing.link is not None:
        seen |= {Decided.LINKS: 1.0, Decided.LINK: standing.link.bits_per_second / 1e6}
    return seen | {Decided(f"price_{budget}"): price for budget, price in standing.prices.items()}


def _closed(tap: Tap, window: _Open, start: int, end: int, standing: Standing | None) -> OutcomeWindow:
    return OutcomeWindow(
        tap=tap,
        start_unix_ms=start,
        end_unix_ms=end,
        counts=dict(window.counts),
        box=window.box.closed(),
        cloud=window.cloud.closed(),
        uplink_bytes=window.uplink_bytes,
        stages=dict(window.stages),
        decided={**window.routes, **(looked(standing) if standing else {})},
        rung_why=standing.rung_why if standing else "",
    )
