"""A broker that answers what it is told to: MQTT 3.1.1 over plain TCP, as far as our clients speak it.

It never acknowledges a publish, and refuses as many subscriptions as `refusals` says.
"""

from __future__ import annotations

import queue
import socketserver
import threading

CONNECT, PUBLISH, SUBSCRIBE, PING = 0x10, 0x30, 0x80, 0xC0
CONNACK, PONG, REFUSED, GRANTED = b"\x20\x02\x00\x00", b"\xd0\x00", 0x80, 1


class MuteBroker(socketserver.ThreadingTCPServer):
    """`heard`: what was published, with the number of its connection, from 1."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.refusals = refusals
        self.connections = 0
        self.heard: queue.Queue[tuple[int, bytes]] = queue.Queue()
        self.open: list[_Connection] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def cut(self) -> None:
        """End the newest connection."""
        self.shutdown_request(self.open[-1].request)

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    server: MuteBroker

    def handle(self) -> None:
        self.server.open.append(self)
        self.server.connections = number = self.server.connections + 1
        while head := self.rfile.read(1):
            kind, body = head[0] & 0xF0, self.rfile.read(self._length())
            if kind == CONNECT:
                self.wfile.write(CONNACK)
            elif kind == SUBSCRIBE:
                self.wfile.write(self._answer(body))
            elif kind == PING:
                self.wfile.write(PONG)
            elif kind == PUBLISH:
                topic = int.from_bytes(body[:2], "big")
                self.server.heard.put((number, body[2 + topic + 2 :]))  # behind topic and packet id

    def _length(self) -> int:
        """Seven bits a byte, the lowest first."""
        length, shift = 0, 0
        while True:
            (byte,) = self.rfile.read(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return length

    def _answer(self, body: bytes) -> bytes:
        code = GRANTED
        if self.server.refusals > 0:
            self.server.refusals -= 1
            code = REFUSED
        return bytes([0x90, 4]) + body[:2] + bytes([code, code])  # each of our sides subscribes to two topics
