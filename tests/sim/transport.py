"""The event loop's side of one connection under the test's hand: what is written piles up until the caller reads."""

from __future__ import annotations

import asyncio
from typing import Any

HIGH, LOW = 64 << 10, 16 << 10  # bytes unread at which asyncio pauses a protocol, and at which it lets it go on


class SimTransport(asyncio.Transport):
    """`read` is the caller reading."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._unread = bytearray()
        self._paused = False
        self.ended = False  # no more comes from here
        self.closed = False
        self.aborted = False

    def read(self, most: int) -> bytes:
        content, self._unread = bytes(self._unread[:most]), self._unread[most:]
        if self._paused and len(self._unread) <= LOW:
            self._paused = False
            self._protocol.resume_writing()
        return content

    def write(self, data: Any) -> None:
        assert not self.ended
        self._unread += data
        if not self._paused and len(self._unread) > HIGH:
            self._paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
