"""Runs on this machine: a folder below <state>/runs and a keeper process each (run_keeper).

    settings.json   what the Run was asked for              work/      checkpoints
    progress.jsonl  what the recipe tells                   release/   what it made
    log*.txt        what it prints (run_log)                lock, process.json, end.json   the keeper's

A keeper leads a session of its own, so that it outlives this process and whatever ends it; it is found again by its
lock, and signalled only when process number, start time and boot are those it wrote down.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from controlplane.adapters import run_keeper, run_log
from controlplane.adapters.training_environment import TrainingEnvironment
from controlplane.errors import Conflict
from controlplane.files import PRIVATE, private_folder, write_atomically
from controlplane.training.ports import Job, Look, Part, State, Trainer
from protos import ids
from protos.errors import Rejected, Retryable

GRACE_SECONDS = 30.0  # for a checkpoint, before SIGKILL
UP_SECONDS = 30.0  # for a keeper to begin; usually a tenth of one
_OURS = "LONGSHORE_"  # variables that hold our own settings, secrets among them
RUN_DIR = "LONGSHORE_RUN_DIR"


class LocalExecutor:
    """Implements controlplane.training.ports.Executor."""

    def __init__(
        self,
        folder: Path,
        environment: TrainingEnvironment,
        variables: Mapping[str, str],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """`folder` holds all Runs. `variables`: the environment that recipes get, without our own settings."""
        self._folder = folder
        self._environment = environment
        self._variables = {name: value for name, value in variables.items() if not name.startswith(_OURS)}
        self._grace = grace_seconds
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}

    def trainer(self) -> Trainer:
        return self._environment.trainer()

    # ---- start, look, stop ----

    def begin(self, job: Job) -> None:
        folder = self._of(job.name)
        if _locked(folder):
            return
        private_folder(self._folder)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _kill_left_over(_read(folder / run_keeper.PROCESS))
            settings = json.dumps(dict(job.settings), indent=2, sort_keys=True)
            write_atomically(folder / "settings.json", f"{settings}\n".encode(), PRIVATE)
            self._start(job, folder)
        except OSError as error:
            raise Retryable(f"{folder} cannot be used ({error.strerror}); is the disk full?", 10.0) from error

    def _start(self, job: Job, folder: Path) -> None:
        told = json.dumps(self._told(job, folder)).encode()
        command = [sys.executable, "-I", "-S", run_keeper.__file__]
        keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        self._reap(job.name)
        self._keepers[job.name] = keeper
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        with suppress(BrokenPipeError), keeper.stdin as hears:
            hears.write(told)
        with keeper.stdout as said:
            ready, _, _ = select.select([said], [], [], UP_SECONDS)
            if not ready or not said.readline().strip():
                raise Retryable("the process of a run did not come up; look at the control plane's log", 5.0)

    def _told(self, job: Job, folder: Path) -> dict[str, Any]:
        environment = self._environment
        places = {"{python}": str(environment.python), "{folder}": job.recipe_folder}
        return {
            "folder": str(folder),
            "attempt": job.attempt,
            "prepare": list(environment.preparation()),
            "prepare_note": environment.note,
            "prepare_lock": str(self._folder / ".environment.lock"),
            "command": [_filled(part, places) for part in job.command],
            "cwd": str(environment.checkout),
            "environment": {**self._variables, RUN_DIR: str(folder), "PYTHONUNBUFFERED": "1"},
            "grace": self._grace,
        }

    def look(self, name: str) -> Look:
        self._reap(name)
        folder = self._of(name)
        alive = _locked(folder)
        process, end = _read(folder / run_keeper.PROCESS), _read(folder / run_keeper.END)
        attempt = int(process.get("attempt", 0))
        if alive:
            return Look(State.PREPARING if process.get("step") == "preparing" else State.RUNNING, attempt)
        if not process:
            return Look(State.ABSENT)
        if end.get("attempt") != attempt:
            return Look(State.ENDED, attempt)
        state = State.UNPREPARED if end["step"] == "preparing" else State.ENDED
        return Look(state, attempt, int(end["code"]), bool(end["told"]))

    def stop(self, name: str) -> None:
        folder = self._of(name)
        process = _read(folder / run_keeper.PROCESS)
        if _locked(folder) and _is(process, "pid", "started"):
            with suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGTERM)

    def _reap(self, name: str) -> None:
        """Of keepers that are our children; those of an earlier process are init's."""
        keeper = self._keepers.get(name)
        if keeper is not None and keeper.poll() is not None:
            del self._keepers[name]

    # ---- what it writes ----

    def gap(self, name: str) -> tuple[int, int]:
        return run_log.gap(self._of(name))

    def size(self, name: str, part: Part) -> int:
        if part is Part.LOG:
            return run_log.size(self._of(name))
        try:
            return (self._of(name) / part.value).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, name: str, part: Part, start: int, most: int) -> bytes:
        if part is Part.LOG:
            return run_log.read(self._of(name), start, most)
        try:
            with (self._of(name) / part.value).open("rb") as file:
                file.seek(start)
                return file.read(most)
        except FileNotFoundError:
            return b""

    def open_release(self, name: str, path: str) -> BinaryIO:
        place = self._of(name) / "release" / Path(path).name
        try:
            return os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise Rejected(f"the recipe left no {path} in its release folder") from error
            raise Retryable(f"{place} cannot be read ({error.strerror})") from error

    # ---- room ----

    def trim(self, name: str) -> None:
        for part in ("work", "release"):
            shutil.rmtree(self._of(name) / part, ignore_errors=True)

    def forget(self, name: str) -> None:
        if _locked(self._of(name)):
            raise Conflict(f"run {name} still has a process; wait for its end")
        shutil.rmtree(self._of(name), ignore_errors=True)

    def _of(self, name: str) -> Path:
        return self._folder / ids.name(name, "run name")


def _filled(part: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        part = part.replace(place, value)
    return part


def _read(path: Path) -> dict[str, Any]:
    """Empty where there is none. It was written whole, so what cannot be read is a disk's damage: as if absent."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return found if isinstance(found, dict) else {}
    return {}


def _locked(folder: Path) -> bool:
    """A keeper is alive there."""
    try:
        handle = os.open(folder / run_keeper.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is(process: Mapping[str, Any], pid: str, started: str) -> bool:
    """The process that was written down is the one that has this number now."""
    return process.get("boot") == run_keeper.boot_id() and run_keeper.start_ticks(process[pid]) == process[started]


def _kill_left_over(process: Mapping[str, Any]) -> None:
    """The recipe dies with its keeper, but not what the recipe started. Its group's number is free for others only
    when the group is empty; another process of that number means that it is.
    """
    child = process.get("child")
    if not child or process.get("boot") != run_keeper.boot_id():
        return
    if run_keeper.start_ticks(child) in (None, process["child_started"]):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
