"""A bar with the time left, on a terminal; silence elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

EVERY_SECONDS = 0.1
BAR = 24  # characters


def line(done: int, share: float, seconds: float) -> str:
    """What is shown after `done` pictures in `seconds`, which are `share` (0: unknown) of all."""
    rate = done / seconds if seconds > 0 else 0.0
    return bar(f"{done} pictures  {rate:.1f}/s", share, seconds)


def bar(told: str, share: float, seconds: float) -> str:
    """`told` behind the share of all that is done (0: unknown), and how long the rest takes at this pace."""
    if share <= 0:
        return told
    full = min(BAR, round(share * BAR))
    left = max(0.0, seconds / min(share, 1.0) - seconds)
    return f"{'█' * full}{'░' * (BAR - full)} {min(share, 1.0):4.0%}  {told}  {_clock(left)} left"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


class Progress:
    """Draws over its own line, a few times a second."""

    def __init__(self, stream: TextIO = sys.stderr, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._shows = stream.isatty()
        self._started = self._due = now()

    def show(self, done: int, share: float) -> None:
        """After `done` pictures; at most a few times a second, however often it is called."""
        now = self._now()
        if now >= self._due:
            self._due = now + EVERY_SECONDS
            self._draw(line(done, share, now - self._started))

    def tell(self, told: str, share: float) -> None:
        """At once: for who calls seldom."""
        self._draw(bar(told, share, self._now() - self._started))

    def _draw(self, shown: str) -> None:
        if self._shows:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{shown[:width]}")
            self._stream.flush()

    def clear(self) -> None:
        if self._shows:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
