"""What a source needs of the world and may not take itself: a file's descriptor, the address behind a name.

A sandboxed worker asks the agent (`Borrower`), who looks up what the camera was told to be and gives that alone (see
agent.cameras.lender). Where there is no sandbox, a source helps itself (`OwnHands`).
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from agent.cameras.lender import opened
from agent.cameras.messages import Ask, Lent
from agent.cameras.source import CONNECT_SECONDS


class Loans(Protocol):
    """Raises OSError with what the system said, TimeoutError when it says nothing."""

    def file(self, path: str) -> int:
        """A descriptor for reading from the start, which the caller closes."""
        ...

    def address(self, host: str) -> str:
        """What to connect to."""
        ...


class OwnHands:
    """Loans of a process that may open files and resolve names."""

    def file(self, path: str) -> int:
        return opened(path)

    def address(self, host: str) -> str:
        return host


OWN_HANDS = OwnHands()


def at_address(url: str, loans: Loans) -> str:
    """The URL with its host's name replaced by where it lies; all else stays as it was written."""
    split = urlsplit(url)
    host = split.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        place = loans.address(host)
    else:
        return url
    user, at, _ = split.netloc.rpartition("@")
    port = f":{split.port}" if split.port is not None else ""
    start = len(split.scheme) + len("://")
    named = f"[{place}]" if ":" in place else place
    return f"{url[:start]}{user}{at}{named}{port}{url[start + len(split.netloc) :]}"


class Borrower:
    """The worker's side: any thread asks, the main thread hears the answers."""

    def __init__(self, say: Callable[[msgspec.Struct], None], patience: float = CONNECT_SECONDS) -> None:
        self._say = say
        self._patience = patience  # seconds
        self._calls = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[tuple[Lent, int]]] = {}

    def lent(self, message: Lent, fds: Sequence[int]) -> None:
        """An answer; one that nobody waits for any more is given up."""
        waiting = self._waiting.pop(message.call, None)
        if waiting is not None:
            waiting.put((message, fds[0] if fds else -1))
        elif fds:
            os.close(fds[0])

    def ask(self, camera: str) -> tuple[str, int]:
        """The address or the descriptor that the camera's source names."""
        call, answer = next(self._calls), queue.SimpleQueue[tuple[Lent, int]]()
        self._waiting[call] = answer
        self._say(Ask(call, camera))
        try:
            message, fd = answer.get(timeout=self._patience)
        except queue.Empty:
            if self._waiting.pop(call, None) is None:  # it comes this very moment
                with contextlib.suppress(queue.Empty, OSError):
                    os.close(answer.get(timeout=1.0)[1])
            raise TimeoutError from None
        if message.error:
            raise OSError(message.error, os.strerror(message.error))
        return message.address, fd


@dataclass(frozen=True)
class Borrowed:
    """Loans of one camera in a sandboxed worker. It names itself, and never what it wants."""

    camera: str
    borrower: Borrower

    def file(self, path: str) -> int:  # noqa: ARG002 - the agent knows it
        return self.borrower.ask(self.camera)[1]

    def address(self, host: str) -> str:  # noqa: ARG002 - the agent knows it
        return self.borrower.ask(self.camera)[0]
