"""Lives of a box in processes of their own, each ended by SIGKILL where a test wants it.

One process reads what is asked, line by line, and forks for each: a fork costs milliseconds where an interpreter costs
half a second. What must survive a life is in its folder.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

SHARED_MEMORY = Path("/dev/shm")  # kill -9 keeps the page cache, so nothing is proven by waiting for a disk

Asked = TypeVar("Asked", bound=msgspec.Struct)
Seen = TypeVar("Seen", bound=msgspec.Struct)


class Lives(Generic[Asked, Seen]):
    """The process of `module`, which calls `serve`, and state directories to live in."""

    def __init__(self, module: str, seen: type[Seen], folder: Path) -> None:
        command = [sys.executable, "-m", module]
        self.folder, self._seen = folder, seen
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def live(self, asked: Asked) -> Seen:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=self._seen)

    def fresh(self, name: str, before: Callable[[Path], None]) -> Path:
        """A copy of a state directory in which `before` has happened; once for each name."""
        template, folder = self.folder / f"template-{name}", self.folder / "box"
        if not template.exists():
            template.mkdir()
            before(template)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        return folder

    def close(self) -> None:
        self._process.communicate(timeout=30)


@contextmanager
def quick_folder() -> Iterator[Path]:
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="longshore-lives-", dir=parent) as folder:
        yield Path(folder)


def serve(
    asked: type[Asked],
    live: Callable[[Asked], Seen],
    killed: Seen,
    broken: Callable[[str], Seen],
    kill_after: Callable[[Asked], float | None] = lambda _: None,
) -> None:
    """Until nothing is asked any more.

    `killed`: told of a life that SIGKILL ended; `broken`: of one that ended by itself and told nothing. `kill_after`:
    seconds.
    """
    logging.disable()
    for line in sys.stdin.buffer:
        wish = msgspec.json.decode(line, type=asked)
        status, told = _forked(partial(_lived, live, wish), kill_after(wish))
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            told = msgspec.json.encode(killed)
        sys.stdout.buffer.write((told or msgspec.json.encode(broken(f"the process ended with {status}"))) + b"\n")
        sys.stdout.buffer.flush()


def _lived(live: Callable[[Asked], Seen], wish: Asked) -> bytes:
    return msgspec.json.encode(live(wish))


def _forked(live: Callable[[], bytes], kill_after: float | None) -> tuple[int, bytes]:
    """How a child ended, and what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, live())
        os._exit(0)
    os.close(writing)
    if kill_after is not None and not select.select([reading], [], [], kill_after)[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as told:
        content = told.read()
    return os.waitpid(child, 0)[1], content
