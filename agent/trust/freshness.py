"""When signed metadata counts as fresh, and when to look again. Pure: values and `now` in.

Time that was signed is a floor of this box's clock: a clock that is behind it would make expired metadata look fresh.
Wrong clocks and expiry keep new releases out; what answers goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.trust.errors import ClockBehind, Stale

TOLERANCE_SECONDS = 3600.0  # signers' clocks are a little off, too
OLD = 0.75  # of its life


@dataclass(frozen=True)
class View:
    """The signed metadata this box has last proven; unix seconds by its own clock."""

    root: int
    timestamp: int  # version
    refreshed: float
    expires: Mapping[str, float]  # by role


def check_clock(signed: int, now: float) -> None:
    """`signed`: the highest time this box has seen signed. Raises ClockBehind."""
    if now + TOLERANCE_SECONDS < signed:
        raise ClockBehind(
            f"this box's clock says {_told(now)} and metadata was signed at {_told(signed)}; set the clock, or run "
            "NTP: nothing is installed before, and what answers goes on"
        )


def check(expires: Mapping[str, float], now: float) -> None:
    """`expires`: unix seconds, by role. Raises Stale, naming the file that expired first."""
    role, soonest = min(expires.items(), key=lambda known: known[1])
    if now >= soonest:
        raise Stale(expired(f"{role}.json expired at {_told(soonest)}", now))


def aged(expires: Mapping[str, float], signed: int, now: float) -> str:
    """A sentence when three quarters of the life of what was signed last are over, else "".

    Where the control plane answers it signs at half of it. `signed`: unix seconds, 0 where untold.
    """
    if not signed or not expires:
        return ""
    role, soonest = min(expires.items(), key=lambda known: known[1])
    if not signed + (soonest - signed) * OLD <= now < soonest:
        return ""
    days = (now - signed) / 86_400
    return (
        f"the newest signed metadata here is {days:.0f} days old and {role}.json expires at {_told(soonest)}; bring a "
        "new 'longshore export', or see why the control plane does not sign: nothing new is installed after, and what "
        "answers goes on"
    )


def expired(what: str, now: float) -> str:
    return (
        f"{what}, and this box's clock says {_told(now)}; set the clock if that is wrong, else see that the control "
        "plane signs: nothing is installed before, and what answers goes on"
    )


def look_again(view: View, spread: float) -> float:
    """Past half of what is left of the timestamp's life, by `spread` (0…1) earlier or later; unix seconds.

    Past, because the next is signed at half: who looks before that has looked for nothing.
    """
    left = max(0.0, view.expires["timestamp"] - view.refreshed)
    return view.refreshed + left * (0.52 + 0.2 * spread)


def _told(unix: float) -> str:
    try:
        return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time that cannot be"
