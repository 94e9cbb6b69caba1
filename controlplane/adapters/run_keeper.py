"""The process that keeps one start of a Run: makes its environment, runs its recipe, writes down how it ended.

It is started by `executor_local`, which writes one JSON object to its standard input (arguments are for every user of
the machine to read), and lives on when that process dies. Rules that hold here:

- it holds a lock in the Run's folder for as long as it lives: no second one can run there, and whoever finds the lock
  free knows that this start is over;
- SIGTERM is passed on to the recipe's whole process group, and SIGKILL follows when that takes too long; the recipe
  dies with its keeper, however that dies;
- the end is written down, whole and flushed, before the lock goes;
- what the recipe prints comes through here into files of PIECE bytes: the first and the newest NEWEST stay, so that a
  recipe that prints without end fills no disk.

Nothing but the standard library: it starts in 30 ms and takes 10 MB beside a training.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

LOCK, PROCESS, END, LOG = "lock", "process.json", "end.json", "log.txt"
PIECE, NEWEST = 1 << 20, 8  # bytes of one file of the log; files kept beside the first
_CHUNK = 1 << 16  # what a pipe holds
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


def pieces(folder: Path) -> list[tuple[int, Path]]:
    """Files of the log with the byte of it that each begins with, oldest first."""
    first = [(0, folder / LOG)] if (folder / LOG).exists() else []
    return first + sorted((int(path.stem.partition("-")[2]), path) for path in folder.glob("log-*.txt"))


class Log:
    """Appends to the newest file; begins another, at the end of a line, when that is full. Bytes are counted on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start, path = (pieces(folder) or [(0, folder / LOG)])[-1]
        self._open(path)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        room = max(0, PIECE - self._length - 1)
        line = content.find(b"\n", room) + 1 if len(content) > room else 0
        self._add(content[:line] if line else content)
        if self._length >= 2 * PIECE and not line:
            self._add(b"\n")  # a line without end
        if line or self._length >= 2 * PIECE:
            self._roll()
            self.write(content[line:]) if line else None

    def _add(self, content: bytes) -> None:
        self._file.write(content)
        self._length += len(content)

    def _roll(self) -> None:
        self._file.close()
        self._start += self._length
        self._open(self._folder / f"log-{self._start:020}.txt")
        for _, path in pieces(self._folder)[1:-NEWEST]:
            path.unlink()

    def _open(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._length = path.stat().st_size


class Keeper:
    """Of one start. `job` is what executor_local asked for."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        self._folder = Path(job["folder"])
        self._told = False
        self._deadline = float("inf")
        self._child: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None

    def run(self) -> None:
        """Until the start is over."""
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._note("preparing" if self._job["prepare"] else "running")
        print("up", flush=True)
        with Log(self._folder) as self._log:
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
                stdout=subprocess.PIPE,
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
        while (code := child.poll()) is None:
            self._take(child, LOOK_SECONDS)
            if time.monotonic() > self._deadline:
                self._say(f"it did not stop within {self._job['grace']:g} s and is killed")
                self._kill(signal.SIGKILL)
                self._deadline = float("inf")
        self._kill(signal.SIGKILL)  # what it left behind
        for _ in range(4):  # what it printed last; a pipe holds one chunk
            self._take(child, 0.0)
        assert child.stdout is not None
        child.stdout.close()
        return code

    def _take(self, child: subprocess.Popen[bytes], seconds: float) -> bool:
        """What was printed, as soon as there is some within `seconds`; whether there was."""
        assert child.stdout is not None
        assert self._log is not None
        if not select.select([child.stdout], [], [], seconds)[0]:
            return False
        content = os.read(child.stdout.fileno(), _CHUNK)
        if content:
            self._log.write(content)
        else:
            with suppress(subprocess.TimeoutExpired):
                child.wait(seconds)  # it closed its output; there is nothing more to wait for than its end
        return bool(content)

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
