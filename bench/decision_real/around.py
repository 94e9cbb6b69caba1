"""What others take of the cores that this bench stands on. Linux, from /proc."""

from __future__ import annotations

import time
from collections.abc import Iterable, Set
from pathlib import Path

from agent.bench.machine import busy_seconds
from bench.processes import cpu_seconds_of, family

MOST_FOREIGN = 0.15  # of a core, in a window that judges


class Around:
    """Watches from now on. `pids`: ours, with all their descendants."""

    def __init__(self, cores: Set[int], pids: Iterable[int]) -> None:
        self._cores = cores
        self._pids = sorted({each for pid in pids for each in family(pid)})
        self._since, self._before = time.monotonic(), self._others()

    def foreign(self) -> float:
        """Cores, on the mean since then."""
        return max(0.0, self._others() - self._before) / (time.monotonic() - self._since)

    def _others(self) -> float:
        return busy_seconds(Path("/proc/stat").read_text(), self._cores) - cpu_seconds_of(self._pids)
