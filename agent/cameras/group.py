"""One capture worker process as the agent holds it: started, fed with what it should do, and started again.

What its cameras and taps are is told again after every start, so a fresh worker is as good as the dead one. A worker
that gives no sign of life is killed; that is a death like any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.cameras.messages import FromWorker, Hello
from agent.cameras.needs import ROOM, Needs
from agent.ports import Clock
from agent.workers.channel import close_all
from agent.workers.endings import ended
from agent.workers.process import WorkerProcess
from agent.workers.restarts import RestartBudget
from protos.errors import Retryable
from sandbox.report import Confined

MODULE = "agent.cameras.worker"
SILENT_SECONDS = 15.0  # without a sign of life; one is due every second
START_SECONDS = 60.0  # for the first sign, on a slow and busy box
_LAST_WORDS = 64 * 1024  # bytes that are read of them


@dataclass
class Group:
    """See the module. `on_message(group, message)`, `on_death(group, how it ended, last words)`."""

    number: int
    clock: Clock
    on_message: Callable[[Group, FromWorker], None]
    on_death: Callable[[Group, str, str], None]
    budget: RestartBudget = field(default_factory=RestartBudget)
    needs: Needs = field(default_factory=Needs)  # all that its worker may have
    on_confined: Callable[[Confined], None] = lambda _: None  # what of that holds
    threads: dict[int, str] = field(default_factory=dict)  # interpreter's thread number -> camera

    def __post_init__(self) -> None:
        self._process: WorkerProcess[FromWorker] | None = None
        self._last_words: int | None = None
        self._heard: float = 0.0
        self._patience = START_SECONDS
        self._device: tuple[int, int] | None = None  # as it was when the worker started

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.alive else None

    async def start(self) -> None:
        """Raises Retryable when the box has no process, descriptor or memory left for it."""
        self.threads.clear()
        self._heard, self._patience = self.clock.monotonic(), START_SECONDS
        self._settle()
        process = WorkerProcess(
            f"capture-{self.number}",
            MODULE,
            FromWorker,
            self._received,
            self._exited,
            self.on_confined,
            self.needs.words,
        )
        await process.start(ROOM)
        self._process = process

    def _settle(self) -> None:
        """Remember the device that the worker will be allowed."""
        self._device = _identity(self.needs.device)

    def post(self, message: msgspec.Struct, fds: Sequence[int] = ()) -> bool:
        """Send, if the worker lives; one that does not read is killed."""
        if self._process is None or not self._process.alive:
            return False
        try:
            self._process.send(message, fds)
        except Retryable:
            self._process.kill()
            return False
        return True

    def check(self) -> None:
        """Kill a worker that has been silent for too long, or may not open the device that was plugged in since."""
        if self._process is None:
            return
        device = _identity(self.needs.device)
        replaced = device is not None and device != self._device
        if replaced or self.clock.monotonic() - self._heard > self._patience:
            self._process.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """End it for good; `on_death` is not called."""
        process, self._process = self._process, None
        if process is not None:
            await process.stop(1.0)
        self._forget_last_words()

    def _received(self, message: FromWorker, fds: list[int]) -> None:
        self._heard, self._patience = self.clock.monotonic(), SILENT_SECONDS
        if isinstance(message, Hello):
            self._forget_last_words()
            self._last_words = fds.pop(0) if fds else None
        close_all(fds)
        if self._process is not None and not isinstance(message, Hello):
            self.on_message(self, message)

    def _exited(self, code: int) -> None:
        words = b""
        if self._last_words is not None:
            words = os.pread(self._last_words, _LAST_WORDS, 0)
        self._forget_last_words()
        if self._process is not None:
            how, self._process = ended(code, self._process.exceeded), None
            self.on_death(self, how, words.decode(errors="replace"))

    def _forget_last_words(self) -> None:
        if self._last_words is not None:
            os.close(self._last_words)
            self._last_words = None


def _identity(device: str) -> tuple[int, int] | None:
    """Which node lies there; it is another one after the device was plugged in again."""
    if not device:
        return None
    try:
        found = Path(device).stat()
    except OSError:
        return None
    return found.st_ino, found.st_rdev
