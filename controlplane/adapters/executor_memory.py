"""Jobs that somebody plays: for tests, and for a control plane that trains nothing."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from controlplane.errors import Conflict
from controlplane.training.ports import Job, Look, Part, State, Trainer
from protos.errors import Rejected


@dataclass
class Played:
    """One job. Whoever plays it sets `look` and writes its parts."""

    job: Job
    look: Look
    parts: dict[Part, bytes] = field(default_factory=dict)
    release: dict[str, bytes] = field(default_factory=dict)
    gap: tuple[int, int] = (0, 0)  # what is left out of its log
    stops: int = 0  # how often it was asked to stop


READY = Trainer("memory", can_train=True, ready=True, message="training runs here")


class MemoryExecutor:
    """Implements controlplane.training.ports.Executor."""

    def __init__(self, trainer: Trainer = READY) -> None:
        self.told = trainer
        self.jobs: dict[str, Played] = {}
        self.begun: list[tuple[str, int]] = []  # each start, with its attempt
        self._lock = threading.Lock()

    def trainer(self) -> Trainer:
        return self.told

    def begin(self, job: Job) -> None:
        with self._lock:
            played = self.jobs.get(job.name)
            if played is not None and played.look.alive:
                return
            look = Look(State.RUNNING, job.attempt)
            self.begun.append((job.name, job.attempt))
            if played is None:
                self.jobs[job.name] = Played(job, look)
            else:
                played.job, played.look = job, look

    def look(self, name: str) -> Look:
        played = self.jobs.get(name)
        return played.look if played else Look(State.ABSENT)

    def stop(self, name: str) -> None:
        played = self.jobs.get(name)
        if played is not None and played.look.alive:
            played.stops += 1
            played.look = replace(played.look, told=True)

    def gap(self, name: str) -> tuple[int, int]:
        played = self.jobs.get(name)
        return played.gap if played else (0, 0)

    def size(self, name: str, part: Part) -> int:
        return len(self._part(name, part))

    def read(self, name: str, part: Part, start: int, most: int) -> bytes:
        gone, on = self.gap(name) if part is Part.LOG else (0, 0)
        end = start + most if start >= on else min(start + most, gone)
        return self._part(name, part)[start:end]

    def _part(self, name: str, part: Part) -> bytes:
        played = self.jobs.get(name)
        return played.parts.get(part, b"") if played else b""

    def open_release(self, name: str, path: str) -> BinaryIO:
        played = self.jobs.get(name)
        if played is None or path not in played.release:
            raise Rejected(f"the recipe left no {path} in its release folder")
        return io.BytesIO(played.release[path])

    def trim(self, name: str) -> None:
        if name in self.jobs:
            self.jobs[name].release = {}

    def forget(self, name: str) -> None:
        if self.look(name).alive:
            raise Conflict(f"run {name} still has a process; wait for its end")
        self.jobs.pop(name, None)
