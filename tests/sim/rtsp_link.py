"""A bad network and a camera with a wrong clock, between an RTSP client and a real server, piece by piece of RTP.

What is said before pictures flow passes unchanged. Every property may be changed while the stream runs.
"""

from __future__ import annotations

import random
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

SENDER_REPORT = 200
LAST_OF_PICTURE = 0x80
_LENGTH = re.compile(rb"(?mi)^Content-Length: *(\d+)")


@dataclass
class RtspLink:
    """`seconds` are what the end of each picture may be held up by, at random; pieces keep their order."""

    camera: int  # its port
    seconds: float = 0.0
    loss: float = 0.0  # of pieces of pictures
    garbled: bool = False  # pictures are noise
    silent: bool = False  # nothing comes through, and nobody is told
    wrong_by: int = 0  # seconds that the camera's wall clock is ahead
    port: int = 0
    visits: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/harbour"

    def carry(self, from_camera: IO[bytes], to_client: socket.socket) -> None:
        """Until one of them is gone."""
        while piece := self._piece(from_camera):
            passed = self._passed(piece)
            if passed and not self.silent:
                to_client.sendall(passed)

    def _piece(self, stream: IO[bytes]) -> bytes:
        """What lies between two dollars (RFC 2326, 10.12), or an answer with its body."""
        head = stream.read(1)
        if head == b"$":
            head += stream.read(3)
            return head + stream.read(struct.unpack(">H", head[2:])[0])
        while head and not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        length = _LENGTH.search(head)
        return head + stream.read(int(length[1]) if length else 0)

    def _passed(self, piece: bytes) -> bytes:
        if piece[:1] != b"$":
            return piece
        if piece[1] % 2:
            return self._report(piece)
        if piece[5] & LAST_OF_PICTURE:
            time.sleep(self.chance.uniform(0, self.seconds))
        if self.loss and self.chance.random() < self.loss:
            return b""
        return piece[:18] + self.chance.randbytes(len(piece) - 18) if self.garbled else piece

    def _report(self, piece: bytes) -> bytes:
        if piece[5] != SENDER_REPORT:
            return piece
        (second,) = struct.unpack_from(">I", piece, 12)
        return piece[:12] + struct.pack(">I", (second + self.wrong_by) % 2**32) + piece[16:]


@contextmanager
def linked(camera: int) -> Iterator[RtspLink]:
    """A link to the camera at this port of loopback, on a free one."""
    link = RtspLink(camera)

    class Visitor(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            link.visits += 1
            with suppress(OSError), socket.create_connection(("127.0.0.1", link.camera)) as camera:
                back = threading.Thread(target=_forward, args=(self.request, camera), daemon=True)
                back.start()
                with camera.makefile("rb") as stream:
                    link.carry(stream, self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Visitor) as server:
        server.daemon_threads = True
        link.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield link
        finally:
            server.shutdown()
            thread.join()


def _forward(client: socket.socket, camera: socket.socket) -> None:
    """What the client says; where he is gone, the camera hears it."""
    with suppress(OSError):
        while said := client.recv(4096):
            camera.sendall(said)
        camera.shutdown(socket.SHUT_RDWR)
