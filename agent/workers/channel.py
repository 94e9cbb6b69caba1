"""One end of the socket between the agent and a worker: whole messages in order, descriptors beside them.

Messages are tagged `msgspec.Struct` unions in msgpack; a worker parses hostile input, so nothing it sends is unpickled.
A message must fit one datagram: `MAX_MESSAGE` bytes. Larger things travel in shared memory.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Sequence
from types import UnionType
from typing import Generic, TypeVar

import msgspec

from protos.errors import Retryable

MAX_MESSAGE = 200 * 1024  # bytes; stays below the kernel's default socket buffer of 208 KiB
MAX_DESCRIPTORS = 8
ENVIRONMENT = "LONGSHORE_WORKER_FD"

M = TypeVar("M", bound=msgspec.Struct)
_encoder = msgspec.msgpack.Encoder()


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair with buffers as large as the kernel lets us have."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_MESSAGE)
    return ends


def encode(message: msgspec.Struct) -> bytes:
    """Raises ValueError for a message that belongs in shared memory."""
    content = _encoder.encode(message)
    if len(content) > MAX_MESSAGE:
        raise ValueError(f"{type(message).__name__} of {len(content)} bytes does not fit a message")
    return content


def send(sock: socket.socket, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
    """Send one message and its descriptors (duplicated by the kernel; the sender keeps his own).

    Raises:
        Retryable: the other end is gone, or does not read.
    """
    try:
        if fds:
            socket.send_fds(sock, [encode(message)], list(fds))
        else:
            sock.send(encode(message))
    except BlockingIOError as error:
        raise Retryable("a worker does not read its messages") from error
    except OSError as error:
        raise Retryable("a worker process is gone") from error


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One raw message and its descriptors, which the receiver now owns.

    Raises:
        EOFError: the other end is gone.
        BlockingIOError: nothing there (non-blocking socket).
    """
    try:
        content, fds, _, _ = socket.recv_fds(sock, MAX_MESSAGE + 1, MAX_DESCRIPTORS)
    except ConnectionError as error:
        raise EOFError from error
    if not content:
        raise EOFError
    return content, list(fds)


class WorkerChannel(Generic[M]):
    """The worker's end: blocking, usable from several threads for sending and from one for receiving."""

    def __init__(self, sock: socket.socket, receives: type[M] | UnionType) -> None:
        self._sock = sock
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(receives)
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls, receives: type[M] | UnionType) -> WorkerChannel[M]:
        return cls(socket.socket(fileno=int(os.environ.pop(ENVIRONMENT))), receives)

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        """Raises EOFError: the agent is gone; the worker must end."""
        try:
            with self._lock:
                send(self._sock, message, fds)
        except Retryable as error:
            raise EOFError("the agent is gone") from error

    def receive(self, timeout: float | None = None) -> tuple[M, list[int]] | None:
        """The next message, or None after `timeout` seconds.

        Raises:
            EOFError: the agent is gone; the worker must end.
        """
        readable, _, _ = select.select([self._sock], [], [], timeout)
        if not readable:
            return None
        content, fds = receive(self._sock)
        return self._decoder.decode(content), fds
