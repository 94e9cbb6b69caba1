"""Messages of boxes between the thread that hears them and the one that stores them: so many bytes and no more.

What finds no room is dropped and counted. Nothing is lost by that: a box keeps its telemetry until it is acknowledged.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from controlplane.ports import MAX_MESSAGE_BYTES, Message, Queued

MOST_BYTES = 64 << 20  # what a hundred boxes have in the air at once
OVERHEAD = 500  # bytes a message costs beside its payload

log = logging.getLogger(__name__)


class Inbox:
    """Thread-safe; nobody waits in `put`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.overflow = 0
        self._most_bytes = most_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        if len(message.payload) > MAX_MESSAGE_BYTES:
            limit = f"a message may have {MAX_MESSAGE_BYTES} bytes"
            log.warning("%s sent %d bytes and %s; it was refused", message.node, len(message.payload), limit)
            self.overflow += 1
            return
        with self._changed:
            if self._bytes + _size(message) > self._most_bytes:
                self.overflow += 1
                return
            self._messages.append(message)
            self._bytes += _size(message)
            self._changed.notify()

    def take(self, most: int, seconds: float) -> list[Message]:
        """See controlplane.ports.TelemetryIn.receive."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages, seconds)
            found = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
            self._bytes -= sum(map(_size, found))
            return found

    @property
    def waiting(self) -> Queued:
        with self._changed:
            return Queued(len(self._messages), self._bytes - OVERHEAD * len(self._messages))


def _size(message: Message) -> int:
    return len(message.payload) + OVERHEAD
