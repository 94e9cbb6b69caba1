"""Leave to fetch files and signed metadata, as the last Sync handed it out, for as long as it lasts.

It lasts minutes, and a quiet box syncs after hours: whoever asks for leave that has run out has a Sync made.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.ports import Clock, Grant


class Leave:
    def __init__(self, clock: Clock, ask: Callable[[], None]) -> None:
        """`ask`: have a Sync made soon."""
        self._clock = clock
        self._ask = ask
        self._grant: Grant | None = None
        self._until = 0.0  # monotonic seconds

    def give(self, grant: Grant) -> None:
        self._grant = grant if grant.url else None
        self._until = self._clock.monotonic() + grant.seconds

    def now(self) -> Grant | None:
        """None: there is none yet, or none any more."""
        if self._grant is not None and self._clock.monotonic() >= self._until:
            self._ask()
            return None
        return self._grant
