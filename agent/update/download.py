"""When a box may fetch what a deployment needs, and how fast. Pure: `now` in, what holds it and until when out.

A box's turn comes its share of the jitter after the window opened, or after it first needed that release, whichever is
later. The share is of box and deployment: a fleet is spread the same way every time. Times are corrected unix seconds:
a box's clock may be wrong, its time zone is taken as it is. What holds a fetch is looked at again within
LOOK_AGAIN_SECONDS, for clocks are set and zones change their rules.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from protos.ids import DeploymentName

LOOK_AGAIN_SECONDS = 600.0
BURST_SECONDS = 0.25  # of a cap: what was not taken so long may be made good
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """Part of each day, in minutes of it; past midnight where it closes first. `zone` None: where the box is."""

    opens: int
    closes: int
    zone: tzinfo | None = None
    zone_name: str = ""

    @property
    def seconds(self) -> float:
        return 60.0 * ((self.closes - self.opens) % (24 * 60))


@dataclass(frozen=True)
class Download:
    """The rules of one deployment. `trouble`: why this box cannot tell when the window is open; then it is shut."""

    bytes_per_second: float = 0.0  # 0: no cap
    window: Window | None = None  # None: at any time
    jitter: float = 0.0  # seconds
    trouble: str = ""


FREE = Download()


@dataclass(frozen=True)
class Hold:
    """Nothing may be fetched. `reason` completes "it …"; `seconds` until it should be looked at again."""

    reason: str
    seconds: float


def share(node_id: str, deployment: DeploymentName) -> float:
    """Of the jitter, from 0 to below 1; always the same."""
    return int.from_bytes(hashlib.sha256(f"{node_id}\n{deployment}".encode()).digest()[:6]) / (1 << 48)


def hold(rules: Download, part: float, since: float, now: float) -> Hold | None:
    """What keeps the box from fetching now; None: it may. `part`: see `share`; `since`: it first needed it."""
    if rules.trouble:
        return Hold(rules.trouble, LOOK_AGAIN_SECONDS)
    delay = part * min(rules.jitter, rules.window.seconds if rules.window else rules.jitter)
    if rules.window is not None and (opens := _opens(rules.window, delay, now)) > now:
        return Hold(f"waits for its window, which opens at {_clock(opens, rules.window)}", _look(opens - now))
    if since <= now < since + delay:  # a clock that was set back holds nothing
        return Hold(f"waits for its turn, {rules.jitter:g} s are given to all boxes", _look(since + delay - now))
    return None


def _opens(window: Window, delay: float, now: float) -> float:
    """When the box's own part of the window opened, where that is open now; else when it opens next."""
    today = datetime.fromtimestamp(now, window.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (today - _DAY, today, today + _DAY):
        opens = _at(day, window.opens)
        closes = _at(day if window.opens < window.closes else day + _DAY, window.closes)
        if now < closes:
            return opens + delay
    raise AssertionError("tomorrow's window closes after now")


def _at(day: datetime, minute: int) -> float:
    return day.replace(hour=minute // 60, minute=minute % 60).timestamp()


def _clock(moment: float, window: Window) -> str:
    return f"{datetime.fromtimestamp(moment, window.zone):%H:%M} ({window.zone_name or 'where the box is'})"


def _look(seconds: float) -> float:
    return min(seconds, LOOK_AGAIN_SECONDS)


def paced(due: float, count: int, rate: float, now: float) -> float:
    """When more may be taken, after `count` bytes came; `due`: what this said before. Monotonic seconds, bytes/s."""
    return max(due, now - BURST_SECONDS) + count / rate
