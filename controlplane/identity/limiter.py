"""Counts wrong guesses by where they came from; in memory, bounded, forgotten at a restart.

A secret of 256 bits is not guessed; this keeps the log readable and the database quiet while somebody tries.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from controlplane.identity.domain import Guesses
from controlplane.ports import Clock
from protos.errors import Retryable

KEPT = 4096  # addresses; the longest unseen is forgotten first


class GuessLimiter:
    """Threads may share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._guesses: OrderedDict[str, Guesses] = OrderedDict()

    def admit(self, origin: str) -> None:
        """Raises Retryable when too many guesses from there were wrong."""
        now = self._clock.monotonic()
        with self._lock:
            known = self._guesses.get(origin)
        if known is not None and not known.refilled(now).allowed:
            raise Retryable("too many wrong secrets came from this address; wait a minute and try again", 60.0)

    def wrong(self, origin: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            known = self._guesses.pop(origin, Guesses(Guesses.BURST, now))
            self._guesses[origin] = known.spent(now)
            while len(self._guesses) > KEPT:
                self._guesses.popitem(last=False)
