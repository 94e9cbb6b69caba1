"""The folder of a Run: progress out, work kept, release written whole."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOPPED = 143  # exit code of a Run that SIGTERM ended: 128 + 15
EVERY = 2.0  # seconds between lines of progress within a phase
SAID_EVERY = 10.0  # seconds between lines of the log


class Stopped(Exception):
    """SIGTERM came; what is done so far is on disk."""


class RunFolder:
    """One Run's folder; `cache` in it is of no use once the release is there. `clock` gives monotonic seconds."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self.work = root / "work"
        self.cache = self.work / "cache"
        self.release = root / "release"
        self.stopping = False
        self._clock = clock
        self._written = self._said = float("-inf")
        self._phase: tuple[str, float, int] = ("", 0.0, 0)  # name, when it began here, at which step
        self.work.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Within, SIGTERM and Ctrl-C ask for a stop instead of ending the process."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: object) -> None:
        self.stopping = True

    def breathe(self) -> None:
        """Call between steps whose results are on disk or cheap. Raises Stopped when a stop was asked for."""
        if self.stopping:
            raise Stopped

    def progress(self, phase: str, step: int, steps: int, **more: Any) -> None:
        """Note how far `phase` is; at most every two seconds, and always the last step and what carries `metrics`."""
        now = self._clock()
        if phase != self._phase[0]:
            self._phase, self._written, self._said = (phase, now, step), float("-inf"), float("-inf")
        whole = step >= steps or "metrics" in more
        if not whole and now - self._written < EVERY:
            return
        self._written = now
        line = json.dumps({"phase": phase, "step": step, "steps": steps, **more})
        with (self.root / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if whole or now - self._said >= SAID_EVERY:
            self._said = now
            print(self._sentence(now, step, steps, more), flush=True)

    def told(self, phase: str) -> Callable[[int, int], None]:
        """A function that notes how many of how many are done, and ends the Run when a stop was asked for."""

        def told(done: int, of: int) -> None:
            self.progress(phase, done, of)
            self.breathe()

        return told

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def _sentence(self, now: float, step: int, steps: int, more: Mapping[str, Any]) -> str:
        phase, began, first = self._phase
        parts = [f"{phase:<8} {step}/{steps}"]
        if "epoch" in more:
            parts.append(f"epoch {more['epoch']}/{more['epochs']}")
        numbers = {"loss": more.get("loss"), **more.get("metrics", {})}
        parts += [f"{name} {value:.3f}" for name, value in numbers.items() if value is not None]
        if step > first and step < steps:
            parts.append(f"{_spoken((now - began) / (step - first) * (steps - step))} left")
        return "  ".join(parts)

    def write_release(self, files: Mapping[str, bytes]) -> None:
        """Put the whole release folder in place at once."""
        beside = self.root / f".release-{os.getpid()}"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name, content in files.items():
            write_whole(beside / name, content)
        shutil.rmtree(self.release, ignore_errors=True)
        beside.rename(self.release)
        _sync_folder(self.root)
        shutil.rmtree(self.cache, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
