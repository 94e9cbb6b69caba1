"""The agent opens for its sandboxed capture workers what their cameras' sources name, and nothing else.

A file on a dead network share, or a name server that does not answer, may keep a call for minutes: each has a thread of
its own, one per camera at a time, that the agent's end does not wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from agent.cameras.messages import Ask, Lent
from agent.cameras.spec import File, Rtsp, Source
from protos.ids import CameraName

Give = Callable[[Lent, Sequence[int]], object]


class Named(Protocol):
    """A camera and what it was told to be."""

    @property
    def name(self) -> CameraName: ...

    @property
    def spoken(self) -> Source: ...


class Lender:
    """Lives on the agent's event loop."""

    def __init__(self) -> None:
        self._busy: set[CameraName] = set()
        self._turns: Counter[CameraName] = Counter()

    def asked(self, wish: Ask, cameras: Iterable[Named], give: Give) -> None:
        """By a worker with these cameras: it names one of them, and never says what it wants."""
        for camera in cameras:
            if camera.name == wish.camera:
                self.lend(camera.name, camera.spoken, wish.call, give)

    def lend(self, camera: CameraName, source: Source, call: int, give: Give) -> None:
        """Answer by `give`, on the loop, once: at once when the last wish of this camera still waits."""
        if camera in self._busy:
            give(Lent(call, error=errno.ETIMEDOUT), ())
            return
        self._busy.add(camera)
        self._turns[camera] += 1
        loop, turn = asyncio.get_running_loop(), self._turns[camera]

        def fetch() -> None:
            message, fds = fetched(source, call, turn)
            try:
                loop.call_soon_threadsafe(self._give, camera, give, message, fds)
            except RuntimeError:  # the loop has ended
                _close(fds)

        threading.Thread(target=fetch, name=f"open for {camera}", daemon=True).start()

    def forget(self, camera: CameraName) -> None:
        self._turns.pop(camera, None)

    def _give(self, camera: CameraName, give: Give, message: Lent, fds: Sequence[int]) -> None:
        self._busy.discard(camera)
        try:
            give(message, fds)
        finally:
            _close(fds)


def fetched(source: Source, call: int, turn: int) -> tuple[Lent, list[int]]:
    """What the source names; each `turn` of a host with several addresses gives the next, IPv4 first."""
    try:
        match source:
            case File(path):
                return Lent(call), [opened(path)]
            case Rtsp(url):
                return Lent(call, address=_address(urlsplit(url).hostname or "", turn)), []
            case _:
                return Lent(call, error=errno.EACCES), []
    except socket.gaierror:
        return Lent(call, error=errno.EHOSTUNREACH), []
    except (OSError, UnicodeError) as error:
        return Lent(call, error=getattr(error, "errno", None) or errno.EHOSTUNREACH), []


def opened(path: str) -> int:
    """A plain file. Raises OSError; with EISDIR for a folder, ENODEV for anything else that is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENODEV, path)


def _address(host: str, turn: int) -> str:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    in_order = sorted(dict.fromkeys(found), key=lambda each: each[0] != socket.AF_INET)
    return str(in_order[(turn - 1) % len(in_order)][4][0])


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
