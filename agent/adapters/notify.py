"""Telling systemd that the agent is up, alive and ending: sd_notify(3) without a library, silent where none listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from agent.ports import Clock

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


class Notifier:
    """`environment`: NOTIFY_SOCKET and WATCHDOG_USEC, as systemd sets them."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        given = environment.get("WATCHDOG_USEC", "")
        self.pause = int(given) / 1e6 / 3 if given.isdecimal() else 0.0  # seconds between two signs of life; 0: none

    def tell(self, state: str) -> None:
        """Never raises: a service manager that does not listen is no reason to end."""
        if not self._address:
            return
        path = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
                door.setblocking(False)
                door.sendto(state.encode(), path)
        except OSError:
            return

    async def live(self, clock: Clock) -> None:
        """Signs of life from the event loop, until cancelled: a loop that hangs gives none and is started again."""
        while True:
            self.tell(ALIVE)
            await clock.sleep(self.pause or 3600.0)
