"""When and how fast boxes fetch what a Deployment needs: a cap, a part of each day, a spread over the fleet. Pure.

A window that closes before it opens goes on past midnight. Without a zone its times are those of each box's own place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from controlplane.fields import Fields, duration, text
from controlplane.fleet import quantities
from protos.errors import Rejected

LEAST_RATE = 8_000  # bits per second: below it no release arrives
MAX_JITTER_MS = 86_400_000
NO_CAP, ALWAYS = "none", "always"
_DAY = 24 * 60  # minutes
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: (\S{1,64}))?", re.ASCII)


@dataclass(frozen=True)
class Window:
    """Part of each day, in minutes of it."""

    opens: int
    closes: int
    zone: str = ""  # of the IANA database; empty: where each box is

    @property
    def minutes(self) -> int:
        return (self.closes - self.opens) % _DAY

    def __str__(self) -> str:
        return f"{_clock(self.opens)}-{_clock(self.closes)} {self.zone}".rstrip()


@dataclass(frozen=True)
class Download:
    """Of each box, for one Deployment."""

    bits_per_second: int = 0  # 0: no cap
    window: Window | None = None  # None: at any time
    jitter_ms: int = 0  # the last box begins so much later than the first


AT_ONCE = Download()


def download_from_spec(value: object, where: str) -> Download:
    """Raises Rejected."""
    fields = Fields(value, where)
    found = Download(
        bits_per_second=fields.take("rate", _rate, default=Download.bits_per_second),
        window=fields.take("window", _window, default=Download.window),
        jitter_ms=fields.take("jitter", duration(0, MAX_JITTER_MS), default=Download.jitter_ms),
    )
    fields.done()
    if found.window and found.jitter_ms >= 60_000 * found.window.minutes:
        raise Rejected(f"{where}.jitter must be shorter than the window, or some boxes would never fetch anything")
    return found


def download_to_spec(download: Download) -> dict[str, object]:
    """The inverse of `download_from_spec`."""
    return {
        "rate": quantities.rate_text(download.bits_per_second) if download.bits_per_second else NO_CAP,
        "window": str(download.window) if download.window else ALWAYS,
        "jitter": quantities.span_text(download.jitter_ms),
    }


def _rate(value: object, where: str) -> int:
    if value == NO_CAP:
        return 0
    bits = quantities.bits_per_second(value, where)
    if bits < LEAST_RATE:
        raise Rejected(f"{where} must be at least {quantities.rate_text(LEAST_RATE)}, or none for no cap")
    return bits


def _window(value: object, where: str) -> Window | None:
    written = text(value, where)
    if written == ALWAYS:
        return None
    found = _WINDOW.fullmatch(written)
    if not found:
        raise Rejected(
            f'{where} must read "22:00-05:00", "22:00-05:00 Europe/Berlin" or always, not {written[:80]!r}; without a '
            "zone it is each box's own time"
        )
    window = Window(60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4]), found[5] or "")
    if not window.minutes:
        raise Rejected(f"{where} closes when it opens; write always to have it open all day")
    if window.zone and not _known(window.zone):
        raise Rejected(f"{where}: no time zone {window.zone!r} is known; there are UTC, Europe/Berlin and so on")
    return window


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # no such zone, or a text that cannot name one
        return False
    return True


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
