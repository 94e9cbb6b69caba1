"""One end of the socket between the agent and a worker: whole messages in order, descriptors beside them.

Messages are tagged `msgspec.Struct` unions in msgpack; a worker parses hostile input, so nothing it sends is unpickled.
One datagram is a packet: a msgpack array of messages, so that many small ones cost one system call and one waking of
the other side. A packet holds at most `MAX_PACKET` bytes; a message with descriptors has one for itself. Larger things
travel in shared memory.
"""

from __future__ import annotations

import array
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Generic, TypeVar

import msgspec

MAX_PACKET = 200 * 1024  # bytes; stays below the kernel's default socket buffer of 208 KiB
MAX_MESSAGE = MAX_PACKET - 5  # without the head of its packet
HOLD_SECONDS = 0.001  # an answer may wait for others of its packet
MAX_DESCRIPTORS = 8
ENVIRONMENT = "LONGSHORE_WORKER_FD"
_BESIDE = socket.CMSG_LEN(MAX_DESCRIPTORS * array.array("i").itemsize)  # bytes

M = TypeVar("M", bound=msgspec.Struct)
_encoder = msgspec.msgpack.Encoder()


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair with buffers as large as the kernel lets us have."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_PACKET)
    return ends


def encode(message: msgspec.Struct) -> bytes:
    """Raises ValueError for a message that belongs in shared memory."""
    content = _encoder.encode(message)
    if len(content) > MAX_MESSAGE:
        raise ValueError(f"{type(message).__name__} of {len(content)} bytes does not fit a message")
    return content


def packet(messages: Sequence[bytes]) -> bytes:
    """Encoded messages as one msgpack array."""
    return b"".join((b"\xdd", len(messages).to_bytes(4, "big"), *messages))


def fitting(messages: Iterable[bytes]) -> int:
    """How many of them, in order, go into one packet."""
    count, size = 0, 5
    for message in messages:
        size += len(message)
        if size > MAX_PACKET:
            break
        count += 1
    return count


def send(sock: socket.socket, content: bytes, fds: Sequence[int] = ()) -> None:
    """Send one packet and its descriptors (duplicated by the kernel; the sender keeps his own).

    Raises:
        BlockingIOError: the other end has not read enough of what came before (non-blocking socket).
        OSError: it is gone.
    """
    if fds:
        socket.send_fds(sock, [content], list(fds))
    else:
        sock.send(content)


def receive(sock: socket.socket, *, wait: bool = True) -> tuple[bytes, list[int]]:
    """One packet and its descriptors, which the receiver now owns.

    Raises:
        EOFError: the other end is gone.
        BlockingIOError: nothing there (non-blocking socket, or not to `wait`).
    """
    flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
    try:
        content, beside, _, _ = sock.recvmsg(MAX_PACKET + 1, _BESIDE, flags)
    except ConnectionError as error:
        raise EOFError from error
    if not content:
        raise EOFError
    return content, _descriptors(beside) if beside else []


def _descriptors(beside: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """The kernel hands over whole ones only."""
    fds = array.array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    return fds.tolist()


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class WorkerChannel(Generic[M]):
    """The worker's end: blocking, usable from several threads for sending and from one for receiving."""

    def __init__(self, sock: socket.socket, receives: type[M] | UnionType) -> None:
        self._sock = sock
        self._decoder: msgspec.msgpack.Decoder[list[M]] = msgspec.msgpack.Decoder(list[receives])  # type: ignore[valid-type]  # a value at run time
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._held_since = 0.0
        self._received: deque[tuple[M, list[int]]] = deque()

    @classmethod
    def from_environment(cls, receives: type[M] | UnionType) -> WorkerChannel[M]:
        return cls(socket.socket(fileno=int(os.environ.pop(ENVIRONMENT))), receives)

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        """Raises EOFError: the agent is gone; the worker must end."""
        with self._lock:
            self._let_go()
            self._put(packet([encode(message)]), fds)

    def answer(self, message: msgspec.Struct) -> None:
        """Send, together with the answers to what else came with its question, as long as none waits for long.

        For the thread that receives. Raises EOFError.
        """
        with self._lock:
            if not self._held:
                self._held_since = time.monotonic()
            self._held.append(encode(message))
            if not self._received or time.monotonic() - self._held_since > HOLD_SECONDS:
                self._let_go()

    def receive(self, timeout: float | None = None) -> tuple[M, list[int]] | None:
        """The next message, or None after `timeout` seconds.

        Raises:
            EOFError: the agent is gone; the worker must end.
        """
        if not self._received:
            if timeout and not select.select([self._sock], [], [], timeout)[0]:
                return None
            try:
                content, fds = receive(self._sock, wait=timeout is None)
            except BlockingIOError:
                return None
            self._received.extend((message, []) for message in self._decoder.decode(content))
            self._received[0][1].extend(fds)
        return self._received.popleft()

    def _let_go(self) -> None:
        while self._held:
            count = fitting(self._held)
            self._put(packet(self._held[:count]))
            del self._held[:count]

    def _put(self, content: bytes, fds: Sequence[int] = ()) -> None:
        try:
            send(self._sock, content, fds)
        except OSError as error:
            raise EOFError("the agent is gone") from error
