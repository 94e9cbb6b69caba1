"""The system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """Implements controlplane.ports.Clock."""

    def unix(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
