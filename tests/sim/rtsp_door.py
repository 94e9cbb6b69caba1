"""The door of a network camera: asks for user and password, remembers what it was told, lets nobody in."""

from __future__ import annotations

import base64
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BASIC = 'Basic realm="camera"'


@dataclass
class Door:
    """`told` are the pairs of user and password; `status` answers who gave one."""

    status: str = "401 Unauthorized"
    port: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: str) -> bytes:
        number = re.search(r"(?mi)^CSeq: *(\d+)", request)
        given = re.search(r"(?mi)^Authorization: *Basic +(\S+)", request)
        if given:
            user, _, password = base64.b64decode(given[1]).decode().partition(":")
            self.told.append((user, password))
        status = self.status if given else "401 Unauthorized"
        head = f"RTSP/1.0 {status}\r\nCSeq: {number[1] if number else 1}\r\n"
        return f"{head}WWW-Authenticate: {BASIC}\r\nContent-Length: 0\r\n\r\n".encode()


@contextmanager
def opened(status: str = "401 Unauthorized") -> Iterator[Door]:
    """A door on a free port of loopback."""
    door = Door(status)

    class Visitor(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines: list[str] = []
            for line in self.rfile:
                lines.append(line.decode())
                if line == b"\r\n":
                    self.wfile.write(door.answer("".join(lines)))
                    lines.clear()

    with _listening(Visitor) as door.port:
        yield door


@contextmanager
def stranger(answer: bytes) -> Iterator[int]:
    """The port of something that is no camera: it says `answer` to whatever it hears, and hangs up."""

    class Visitor(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line == b"\r\n":
                    break
            self.wfile.write(answer)

    with _listening(Visitor) as port:
        yield port


@contextmanager
def _listening(visitor: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), visitor) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
