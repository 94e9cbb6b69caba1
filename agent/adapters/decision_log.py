"""The decision log on disk: a share of all decisions, one JSON line each, in two files of which the older goes.

Rules that hold here:

- No frame waits for it: a decision is kept in memory, and lines are written every few seconds in a thread.
- It never takes more than its bytes. A file that is half of that is closed, and takes the place of the one before.
- A disk that is full or broken costs lines and nothing else; they are counted, and the log goes on when it can.
- Lines are appended, not synced: a power cut may cost the last seconds and leave half a line, after which the next one
  begins on a line of its own.
- Which decisions are kept is a matter of chance alone, so that those kept stand for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agent.offload.decisions import Decision, written
from agent.ports import Clock

log = logging.getLogger(__name__)

FOLDER = "decisions"  # of the state directory
NEWEST, OLDER = "decisions.jsonl", "decisions.1.jsonl"
WRITE_SECONDS = 5.0  # between writes
MOST_WAITING = 1000  # decisions; at a hundred a second and all of them kept, two writes


class DecisionLog:
    """Not thread-safe: decisions are offered on the event loop."""

    def __init__(
        self,
        folder: Path,
        share: float,
        most_bytes: int,
        rng: random.Random | None = None,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """`share` of decisions is kept, from 0 to 1, in `most_bytes` at most. `write`: as `os.write`."""
        self._write = write
        self.share = share if most_bytes else 0.0
        self.kept = 0  # lines written since the start
        self.lost = 0  # that should have been
        self._folder = folder
        self._half = most_bytes // 2
        self._rng = rng or random.Random()  # noqa: S311 - chooses samples
        self._waiting: deque[Decision] = deque()
        self._told = False  # that lines get lost
        self._writing = asyncio.Lock()

    def offer(self, made: Decision) -> None:
        """Keep it, by chance."""
        if self._rng.random() >= self.share:
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(made)
        else:
            self.lost += 1

    async def run(self, clock: Clock) -> None:
        """Write what was kept, every few seconds; runs until cancelled."""
        while True:
            await clock.sleep(WRITE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what was kept so far."""
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        if not waiting:
            return
        lines = [line for line in (written(made, self.share) for made in waiting) if len(line) <= self._half]
        self.lost += len(waiting) - len(lines)
        try:
            await asyncio.to_thread(self._append_all, lines)
        except OSError as error:
            self._lose(lines, error)
        else:
            self._told = False

    def _lose(self, lines: list[bytes], error: OSError) -> None:
        """Those that `_append_all` has not counted as kept."""
        self.lost += len(lines)
        if not self._told:
            self._told = True
            log.warning("the decision log loses lines (%s); frames go on", error.strerror or error)

    def _append_all(self, lines: list[bytes]) -> None:
        """Takes out of `lines` what is written."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        while lines:
            self._append(lines)

    def _append(self, lines: list[bytes]) -> None:
        """As many as the newest file has room for. Raises OSError: none of them."""
        path = self._folder / NEWEST
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            content = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
            count = 0
            while count < len(lines) and size + len(content) + len(lines[count]) <= self._half:
                content += lines[count]
                count += 1
            if count:
                self._put(descriptor, content, size)
        finally:
            os.close(descriptor)
        if not count:
            path.replace(self._folder / OLDER)
        self.kept += count
        del lines[:count]

    def _put(self, descriptor: int, content: bytes, size: int) -> None:
        """All of it, or none: a disk that fills up half way is given back what it took."""
        try:
            while content:
                content = content[self._write(descriptor, content) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
