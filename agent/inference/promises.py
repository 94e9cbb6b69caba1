"""What an engine still owes to requests that wait for it elsewhere; owned by the event loop."""

from __future__ import annotations

import asyncio


class Promises:
    """See agent.ports.Promised."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: asyncio.Future[None] | None = None  # somebody waits for the last of them

    def one_more(self) -> None:
        self.count += 1

    def one_less(self) -> None:
        """It was answered, or is not wanted any more."""
        self.count -= 1
        if not self.count and self._kept is not None and not self._kept.done():
            self._kept.set_result(None)

    async def none(self) -> None:
        """Wait until there are none."""
        if self.count:
            self._kept = asyncio.get_running_loop().create_future()
            await self._kept
