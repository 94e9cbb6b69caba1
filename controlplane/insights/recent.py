"""The outcomes of the last minute, kept for all pages that show them: of a fleet of hundreds they are many windows.

Each look reads what was stored since the one before, and a little more: a record counts as stored from a moment before
it can be seen. All of it is read again once in a while, so that nothing that came in otherwise stays missing, and after
the clock was set back. The database stays the truth; several control planes on one database each keep their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from controlplane.insights.domain import Window
from controlplane.insights.repository import RecordKey

SPAN_MS = 70_000  # a minute, and for how long its windows may take to come
OVERLAP_MS = 4_000  # above what a record takes from its moment of storage until it can be seen
WHOLE_MS = 60_000
FUTURE_MS = 60_000  # a window that claims to end later than this from now is none of the last minute

Read = Callable[[int, int], dict[RecordKey, Window]]  # since when stored, since when ended


class RecentWindows:
    """Thread-safe."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._kept: dict[RecordKey, Window] = {}
        self._whole_ms = self._read_ms = 0

    def windows(self, now_ms: int, since_ms: int) -> list[Window]:
        """All that ended since then, at most SPAN_MS ago, in no order. Raises Retryable."""
        with self._lock:
            self._look(now_ms)
            return [each for each in self._kept.values() if since_ms <= each.end_ms < now_ms + FUTURE_MS]

    def _look(self, now_ms: int) -> None:
        begin_ms = now_ms - SPAN_MS
        if 0 <= now_ms - self._whole_ms < WHOLE_MS and now_ms >= self._read_ms:
            fresh = self._read(self._read_ms - OVERLAP_MS, begin_ms)
            self._kept = {key: each for key, each in self._kept.items() if each.end_ms >= begin_ms} | fresh
        else:
            self._kept = self._read(0, begin_ms)
            self._whole_ms = now_ms
        self._read_ms = now_ms
