"""A worker process as the agent sees it: started, spoken to, watched, ended.

Owned by the agent's event loop. `on_exit` is called once per start, after the last message was delivered, and not for
a start that failed; whether to start again is the owner's decision (see `restarts`). The worker gets SIGKILL when the
agent's process ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Generic, TypeVar

import msgspec

from agent.workers import channel
from protos.errors import Retryable

M = TypeVar("M", bound=msgspec.Struct)
# numpy's BLAS would start a thread per core in each worker at import; none of them needs it.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# prctl(PR_SET_PDEATHSIG) must be set by the child itself; runpy then runs the worker's module as usual.
_PRELUDE = (
    "import ctypes,os,runpy,signal,sys;"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "signal.signal(signal.SIGINT,signal.SIG_IGN);"
    "m=sys.argv[2];sys.argv[:]=[m];"
    "runpy.run_module(m,run_name='__main__',alter_sys=True)"
)


class WorkerProcess(Generic[M]):
    """One spawned `python -m module` and the channel to it."""

    def __init__(
        self,
        name: str,
        module: str,
        receives: type[M] | UnionType,
        on_message: Callable[[M, list[int]], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self.name = name
        self._module = module
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(receives)
        self._on_message = on_message
        self._on_exit = on_exit
        self._sock: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reaper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._sock is not None

    async def start(self) -> None:
        """Spawn the worker. It may not be called again before `on_exit`.

        Raises:
            Retryable: the box has no process, descriptor or memory left for it.
        """
        assert self._sock is None, f"a second {self.name} worker would take the channel of the first"
        try:
            self._sock, self._process = await self._spawn()
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread to watch it
            raise Retryable(f"no {self.name} worker can be started now: {error}") from error
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)
        self._reaper = asyncio.create_task(self._reap(self._process), name=f"reap {self.name}")

    def send(self, message: M | msgspec.Struct, fds: Sequence[int] = ()) -> None:
        """Raises Retryable when the worker is gone or does not read."""
        if self._sock is None:
            raise Retryable(f"the {self.name} worker is not running")
        channel.send(self._sock, message, fds)

    def kill(self) -> None:
        """SIGKILL, for a worker that hangs; `on_exit` follows."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Close the channel, which tells the worker to end; kill it after the grace. `on_exit` is still called."""
        self._close_channel()
        if self._reaper is None:
            return
        done, _ = await asyncio.wait([self._reaper], timeout=grace_seconds)
        if not done:
            self.kill()
            await asyncio.wait([self._reaper])

    async def _spawn(self) -> tuple[socket.socket, asyncio.subprocess.Process]:
        """Our end of the channel, and the process that has the other."""
        ours, theirs = channel.pair()
        ours.setblocking(False)
        environment = {**_ONE_THREAD, **os.environ, channel.ENVIRONMENT: str(theirs.fileno())}
        try:
            with theirs:
                return ours, await asyncio.create_subprocess_exec(
                    *self._command(), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, env=environment
                )
        except BaseException:
            ours.close()
            raise

    def _command(self) -> list[str]:
        return [sys.executable, "-c", _PRELUDE, str(os.getpid()), self._module]

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._drain()
        self._close_channel()
        self._on_exit(code)

    def _readable(self) -> None:
        # Bounded per wake-up, so that a chatty worker cannot starve the loop.
        for _ in range(64):
            if not self._receive_one():
                return

    def _drain(self) -> None:
        while self._sock is not None and self._receive_one():
            pass

    def _receive_one(self) -> bool:
        if self._sock is None:
            return False
        try:
            content, fds = channel.receive(self._sock)
        except BlockingIOError:
            return False
        except EOFError:
            self._close_channel()
            return False
        try:
            message = self._decoder.decode(content)
        except msgspec.MsgspecError:
            # A worker that talks nonsense is as good as dead: it may have been taken over by its input.
            for fd in fds:
                os.close(fd)
            self.kill()
            return False
        self._on_message(message, fds)
        return True

    def _close_channel(self) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
