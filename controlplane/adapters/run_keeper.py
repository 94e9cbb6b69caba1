"""The process that keeps one start of a Run: makes its environment, runs its recipe, writes down how it ended.

It is started by `executor_local`, which writes one JSON object to its standard input (arguments are for every user of
the machine to read), and lives on when that process dies. Rules that hold here:

- it holds a lock in the Run's folder for as long as it lives: no second one can run there, and whoever finds the lock
  free knows that this start is over;
- SIGTERM is passed on to the recipe's whole process group, and SIGKILL follows when that takes too long; the recipe
  dies with its keeper, however that dies;
- the end is written down, whole and flushed, before the lock goes.

Nothing but the standard library: it starts in 30 ms and takes 10 MB beside a training.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

LOCK, PROCESS, END, LOG = "lock", "process.json", "end.json", "log.txt"
STOPPED = 143  # 128 + SIGTERM, as a recipe says it
CANNOT_START = 127  # as shells say it
NICE = 10  # serving goes first
OOM_SCORE = 500  # of 1000: where memory is short, a training goes before what answers cameras
LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """When the process began, in ticks since boot: with its number a name never given twice. None: no process."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(told.rpartition(")")[2].split()[19])


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    with beside.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


class Keeper:
    """Of one start. `job` is what executor_local asked for."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        self._folder = Path(job["folder"])
        self._told = False
        self._deadline = float("inf")
        self._child: subprocess.Popen[bytes] | None = None
        self._log: BinaryIO | None = None

    def run(self) -> None:
        """Until the start is over."""
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._note("preparing" if self._job["prepare"] else "running")
        print("up", flush=True)
        with (self._folder / LOG).open("ab", buffering=0) as self._log:
            self._quiet()
            step, code = self._steps()
        end = {"attempt": self._job["attempt"], "step": step, "code": code, "told": self._told}
        write_whole(self._folder / END, end)

    def _steps(self) -> tuple[str, int]:
        """The step that ended it, and the exit code."""
        if self._job["prepare"]:
            with Path(self._job["prepare_lock"]).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # another Run may be making it right now
                self._say(self._job["prepare_note"])
                code = self._run(self._job["prepare"])
            if code or self._told:
                return "preparing", code or STOPPED
        self._note("running")
        attempt = self._job["attempt"]
        self._say("the recipe begins" if attempt == 1 else f"start {attempt}: the recipe goes on from its checkpoint")
        return "running", self._run(self._job["command"])

    def _run(self, command: Sequence[str]) -> int:
        if self._told:
            return STOPPED
        try:
            self._child = subprocess.Popen(
                command,
                cwd=self._job["cwd"],
                env=self._job["environment"],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_keeper,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            self._say(f"{command[0]} cannot be started ({error.strerror})")
            return CANNOT_START
        self._note("running" if command is self._job["command"] else "preparing", self._child.pid)
        if self._told:
            self._kill(signal.SIGTERM)
        return self._wait(self._child)

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(LOOK_SECONDS)
                break
            if time.monotonic() > self._deadline:
                self._say(f"it did not stop within {self._job['grace']:g} s and is killed")
                self._kill(signal.SIGKILL)
                self._deadline = float("inf")
        self._kill(signal.SIGKILL)  # what it left behind
        return code

    def _tell(self, _number: int, _frame: object) -> None:
        if not self._told:
            self._told, self._deadline = True, time.monotonic() + self._job["grace"]
            self._kill(signal.SIGTERM)

    def _kill(self, number: int) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)

    def _note(self, step: str, child: int = 0) -> None:
        started = start_ticks(os.getpid())
        process = {"attempt": self._job["attempt"], "step": step, "pid": os.getpid(), "started": started}
        process |= {"boot": boot_id(), "child": child, "child_started": start_ticks(child) if child else None}
        write_whole(self._folder / PROCESS, process)

    def _quiet(self) -> None:
        """Standard output and error lead to whoever started us, which may be gone."""
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.nice(NICE)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))

    def _say(self, text: str) -> None:
        assert self._log is not None
        self._log.write(f"longshore: {text}\n".encode())


def _die_with_keeper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    job = json.load(sys.stdin)
    with (Path(job["folder"]) / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("held", flush=True)
            return
        Keeper(job).run()


if __name__ == "__main__":
    main()
