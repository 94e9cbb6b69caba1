"""Messages of boxes between the thread that hears them and the one that stores them: so many bytes and no more.

- Boxes take turns, message by message, so that one that sends without a pause keeps no other waiting.
- What is new goes before what waited from before its box was connected, but for one byte in four: a backlog gets
  through however much is new. Bytes, because a message of a backlog holds a hundred times what one of the present does.
- What finds no room is dropped and counted; a backlog may fill half of the room. Nothing is lost by that: a box keeps
  its telemetry until it is acknowledged. Signs of life, which nobody repeats soon, have some room of their own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from controlplane.ports import MAX_MESSAGE_BYTES, Message, Queued
from protos.ids import NodeId
from protos.topics import Channel

MOST_BYTES = 64 << 20  # what a hundred boxes have in the air at once
OVERHEAD = 500  # bytes a message costs beside its payload
TAKEN_BYTES = 384 << 10  # at once, and the message that exceeds it: what is new need not wait for more than this
PRESENCE_BYTES = 1 << 20  # beyond the room: a beat comes once in minutes, and who misses one shows its box as offline
HISTORICAL_SHARE = 4  # of so many bytes one is of the backlog

log = logging.getLogger(__name__)


class Lane:
    """Messages by box; boxes in the order of their turns."""

    def __init__(self) -> None:
        self._boxes: dict[NodeId, deque[Message]] = {}  # of those that have any, the next one first

    def __bool__(self) -> bool:
        return bool(self._boxes)

    def put(self, message: Message) -> None:
        self._boxes.setdefault(message.node, deque()).append(message)

    def take(self) -> Message:
        """Of the box whose turn it is, which then is the last."""
        node = next(iter(self._boxes))
        messages = self._boxes.pop(node)
        message = messages.popleft()
        if messages:
            self._boxes[node] = messages
        return message


class Inbox:
    """Thread-safe; nobody waits in `put`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.overflow = 0
        self._most_bytes = most_bytes
        self._live, self._historical = Lane(), Lane()
        self._owed = 0  # bytes that what is new goes before the next of the backlog
        self._messages = self._bytes = 0
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        if len(message.payload) > MAX_MESSAGE_BYTES:
            limit = f"a message may have {MAX_MESSAGE_BYTES} bytes"
            log.warning("%s sent %d bytes and %s; it was refused", message.node, len(message.payload), limit)
            self.overflow += 1
            return
        with self._changed:
            if self._bytes + _size(message) > self._room(message):
                self.overflow += 1
                return
            (self._historical if message.historical else self._live).put(message)
            self._messages += 1
            self._bytes += _size(message)
            self._changed.notify()

    def _room(self, message: Message) -> int:
        """That may be full with this one, in bytes."""
        if message.channel is Channel.PRESENCE:
            return self._most_bytes + PRESENCE_BYTES
        return self._most_bytes // 2 if message.historical else self._most_bytes

    def take(self, most: int, seconds: float) -> list[Message]:
        """See controlplane.ports.TelemetryIn.receive."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages, seconds)
            found: list[Message] = []
            size = 0
            while self._messages and len(found) < most and size < TAKEN_BYTES:
                found.append(self._next())
                size += len(found[-1].payload)
                self._messages -= 1
            self._bytes -= sum(map(_size, found))
            return found

    def _next(self) -> Message:
        """Of the lane whose turn it is, of those that have anything."""
        if self._historical and (self._owed <= 0 or not self._live):
            message = self._historical.take()
            self._owed = (HISTORICAL_SHARE - 1) * _size(message)
        else:
            message = self._live.take()
            self._owed -= _size(message)
        return message

    @property
    def waiting(self) -> Queued:
        with self._changed:
            return Queued(self._messages, self._bytes - OVERHEAD * self._messages)


def _size(message: Message) -> int:
    return len(message.payload) + OVERHEAD
