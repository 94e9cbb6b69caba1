"""Views, kept fresh for all who look: one a second of each address, however many have it open, and none when none has.

A view reads the database in a thread. One that fails is skipped: pages keep what they have. When the database takes
long, views are made less often, so that pages never take more than a part of its time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from controlplane.ui.page import View
from protos.errors import Retryable

FRESH_SECONDS = 1.0
LEISURE = 4.0  # a view that takes a second is made anew after this many

log = logging.getLogger(__name__)
Maker = Callable[[], View]


class Live:
    """Shares views of one address among event streams. Lives in one event loop."""

    def __init__(self, make: Maker, clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._lock = asyncio.Lock()
        self._view: View | None = None
        self._due_at = float("-inf")

    async def view(self) -> View | None:
        """The newest, at most FRESH_SECONDS old; the one before when a new one can't be had; None before the first.

        Raises NotFound: what the page was about is gone.
        """
        async with self._lock:
            if self._clock() >= self._due_at:
                await self._refresh()
        return self._view

    async def _refresh(self) -> None:
        began = self._clock()
        try:
            self._view = await asyncio.to_thread(self._make)
        except Retryable as error:
            log.debug("the page keeps what it has: %s", error)
        finally:
            self._due_at = began + max(FRESH_SECONDS, LEISURE * (self._clock() - began))


@dataclass
class _Open:
    live: Live
    readers: int = 0


class LiveViews:
    """One Live for each address that somebody reads."""

    def __init__(self, maker: Callable[[str], Maker]) -> None:
        """`maker`: what makes the views of an address; raises NotFound."""
        self._maker = maker
        self._open: dict[str, _Open] = {}

    @contextmanager
    def reading(self, address: str) -> Iterator[Live]:
        """Raises NotFound."""
        opened = self._open.get(address) or _Open(Live(self._maker(address)))
        self._open[address] = opened
        opened.readers += 1
        try:
            yield opened.live
        finally:
            opened.readers -= 1
            if not opened.readers:
                del self._open[address]

    def __len__(self) -> int:
        return len(self._open)
