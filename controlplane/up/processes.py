"""The children of `up`: started, watched, started again within a budget, ended in order.

- A child asks the kernel for SIGKILL when `up` ends, however it ends (PR_SET_PDEATHSIG, set by a shim that then
  becomes the program), so that nothing outlives a kill -9. Children are started from the main thread, whose end the
  kernel takes for the parent's.
- Each child leads a session of its own: Ctrl-C reaches `up` alone, which then ends the stages in their order.
- What a child prints goes to <state>/logs/<name>.log; the log of its last start but one is kept beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from controlplane.up.plan import Child, Stage
from controlplane.up.restarts import Budget
from protos.errors import Fatal

ROOM_BYTES = 1 << 20  # free on the disk of the logs: with less nothing starts, and no log says why
# -I -S: no site, no user folder, 15 ms. The check closes the gap between fork and prctl.
_SHIM = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)
STAGE_SECONDS = {Stage.AGENTS: 2.0, Stage.CONTROL_PLANE: 1.2, Stage.BROKER: 0.4}  # together under 5 s with the rest
KILLED_SECONDS = 0.2  # to be gone after SIGKILL; only a process in a broken driver takes longer
TAIL_LINES = 8


class Processes:
    """All children of one `up`. `say` gets one sentence for each event a user should see."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self._logs = logs
        self._say = say
        self._running: dict[str, tuple[Child, asyncio.subprocess.Process]] = {}
        self._budgets: dict[str, Budget] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def start(self, child: Child, says: Callable[[], Awaitable[str]] | None = None) -> None:
        """Start `child` and keep it running; what `says` gives is written to its standard input, at each start."""
        process = await self._spawn(child, says)
        self._running[child.name] = child, process
        self._own(child, f"watch {child.name}", self._watch(child, process, says))

    async def ready(self, child: Child, seconds: float) -> None:
        """Return when `child` listens where it should.

        Raises:
            Fatal: it died, or took too long, with the end of its log.
        """
        until = time.monotonic() + seconds
        while child.listens and not await asyncio.to_thread(_answers, child.listens):
            if self._lost.done():
                raise Fatal(self._lost.result())
            if time.monotonic() > until:
                raise Fatal(
                    f"the {child.name} is not ready after {seconds:.0f} s; its log ends:\n{self.tail(child.name)}"
                )
            await asyncio.sleep(0.05)

    async def lost(self) -> str:
        """Wait until an essential child cannot be kept running; why."""
        return await asyncio.shield(self._lost)

    async def stop(self) -> None:
        """End all stages in order, each within its time, then kill whatever is left of each child's session."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stage in sorted(Stage):
            await self._stop_stage(stage)

    def kill(self) -> None:
        """At once, without order: the user pressed Ctrl-C again."""
        self._stopping = True
        for _, process in self._running.values():
            _kill(process)

    def tail(self, name: str, lines: int = TAIL_LINES) -> str:
        """The end of a child's log."""
        with contextlib.suppress(OSError):
            text = self._log(name).read_text(errors="replace").strip()
            return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])[2 if lines == 1 else 0 :]
        return ""

    def _log(self, name: str) -> Path:
        return self._logs / f"{name.lower().replace(' ', '-')}.log"

    async def _spawn(
        self, child: Child, says: Callable[[], Awaitable[str]] | None = None
    ) -> asyncio.subprocess.Process:
        log = self._log(child.name)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid())),
                *child.command,
                stdin=asyncio.subprocess.PIPE if says else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        if says and process.stdin:
            self._own(child, f"tell {child.name}", _tell(process.stdin, says))
        return process

    def _own(self, child: Child, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` for `child` until it or `up` ends; an error in it is never unseen."""
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(functools.partial(self._ended, child))

    def _ended(self, child: Child, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            reason = getattr(error, "strerror", None) or repr(error)
            self._tell_loss(child, f"{child.name} cannot be kept running: {task.get_name()} failed ({reason})")

    async def _watch(
        self, child: Child, process: asyncio.subprocess.Process, says: Callable[[], Awaitable[str]] | None
    ) -> None:
        budget = self._budgets.setdefault(child.name, Budget())
        while True:
            code = await process.wait()
            _kill(process)  # workers that its end left behind, if any
            if self._stopping:
                return
            delay = budget.spend(time.monotonic())
            if delay is None:
                self._give_up(child, code)
                return
            self._say(f"{child.name} {_fate(code)}; starting it again{f' in {delay:.1f} s' if delay else ''}")
            await asyncio.sleep(delay)
            process = await self._spawn(child, says)
            self._running[child.name] = child, process

    def _give_up(self, child: Child, code: int) -> None:
        log, fate = self._log(child.name), f"{child.name} {_fate(code)} too often"
        if shutil.disk_usage(log.parent).free < ROOM_BYTES:
            self._tell_loss(child, f"{fate}: the disk of {log.parent} is full; free some of it and start again")
        else:
            self._tell_loss(child, f"{fate}; see {log}, which ends:\n{self.tail(child.name)}")

    def _tell_loss(self, child: Child, sentence: str) -> None:
        """Without an essential child the tree ends."""
        if child.essential and not self._lost.done():
            self._lost.set_result(sentence)
        else:
            self._say(sentence)

    async def _stop_stage(self, stage: Stage) -> None:
        processes = [process for child, process in self._running.values() if child.stage is stage]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        waits = [asyncio.ensure_future(process.wait()) for process in processes]
        if waits:
            await asyncio.wait(waits, timeout=STAGE_SECONDS[stage])
        for process in processes:
            _kill(process)
        if waits:
            await asyncio.wait(waits, timeout=KILLED_SECONDS)


async def _tell(stdin: asyncio.StreamWriter, says: Callable[[], Awaitable[str]]) -> None:
    try:
        stdin.write(f"{await says()}\n".encode())
        with contextlib.suppress(ConnectionError):  # it died first; its next start is told again
            await stdin.drain()
    finally:
        stdin.close()


def _answers(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=0.5):
        return True
    return False


def _kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the whole session of a child, which may outlive the child itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _fate(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
