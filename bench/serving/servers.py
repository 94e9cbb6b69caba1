"""A server under measurement: its processes, when it was ready, what it costs while nobody asks."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.processes import cpu_seconds_of, family, pss_mb_of, runs
from bench.serving.environments import last_line
from protos.errors import LongshoreError, Retryable

READY_SECONDS = 90.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Command:
    """`environment` is added to ours; what it says goes to `log`."""

    words: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Server:
    """One started command and its descendants; all end with the block.

    In the benchmark's own session: where the kernel shares cores by session, each of them gets what the others get.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self.pid = 0

    def __enter__(self) -> Self:
        self._command.log.parent.mkdir(parents=True, exist_ok=True)
        with self._command.log.open("wb") as log:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._command.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._command.environment},
                cwd=self._command.folder,
            )
        self.pid = self._process.pid
        return self

    def __exit__(self, *_: object) -> None:
        there = family(self.pid)
        self._process.send_signal(signal.SIGTERM)  # to it alone: it ends its own, and then tidies up
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        for pid in there:  # what stayed behind, in whatever session
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + STOP_SECONDS
        while any(map(runs, there)) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def until(self, check: Callable[[], None]) -> float:
        """Seconds from its start until `check` raised no longer. Raises Retryable when it ends or takes too long."""
        while True:
            try:
                check()
                return time.monotonic() - self._began
            except (LongshoreError, OSError, ValueError) as error:
                trouble = str(error) or type(error).__name__
            if self._process.poll() is not None:
                raise Retryable(f"it ended with {self._process.returncode}: {self._last_words()}")
            if time.monotonic() > self._began + READY_SECONDS:
                raise Retryable(f"no right answer within {READY_SECONDS:.0f} s: {trouble}")
            time.sleep(LOOK_SECONDS)

    def cpu_seconds(self) -> float:
        """Of all its processes so far."""
        return cpu_seconds_of(family(self.pid))

    def memory_mb(self) -> float:
        """Proportional, of all its processes."""
        return pss_mb_of(family(self.pid))

    def _last_words(self) -> str:
        return last_line(self._command.log.read_text(errors="replace")) or "it said nothing"


def idle_cores(servers: Mapping[str, Server], seconds: float) -> dict[str, float]:
    """Cores that each uses while nobody asks."""
    before = {name: server.cpu_seconds() for name, server in servers.items()}
    time.sleep(seconds)
    return {name: (server.cpu_seconds() - before[name]) / seconds for name, server in servers.items()}
