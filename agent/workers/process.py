"""A worker process as the agent sees it: started, spoken to, watched, ended.

Owned by the agent's event loop. `on_exit` is called once per start, after the last message was delivered, and not for
a start that failed; whether to start again is the owner's decision (see `restarts`). The worker gets SIGKILL when the
agent's process ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Generic, TypeVar

import msgspec

from agent.workers import channel
from protos.errors import Retryable
from sandbox import cgroup
from sandbox.cgroup import Cgroup
from sandbox.report import Confined

M = TypeVar("M", bound=msgspec.Struct)
# numpy's BLAS would start a thread per core in each worker at import; none of them needs it. ONNX Runtime would start
# one that sends its maker telemetry: nothing leaves a box that its owner did not ask for.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
FIRST = "500"  # as much as half of the box's memory on top of what it takes, where the kernel chooses whom to end
# prctl(PR_SET_PDEATHSIG) must be set by the child itself; runpy then runs the worker's module as usual. Before that,
# it enters its cgroup, and what else of the agent's is open in the child is closed: uvloop leaves that to those who
# opened it.
_PRELUDE = f"""\
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.getppid() == int(sys.argv[1]) or os._exit(1)
{cgroup.JOIN}
c = int(os.environ[{channel.ENVIRONMENT!r}]); os.closerange(3, c); os.closerange(c + 1, 1 << 20)
signal.signal(signal.SIGINT, signal.SIG_IGN)
m = sys.argv[2]; sys.argv[:] = sys.argv[2:]
runpy.run_module(m, run_name="__main__", alter_sys=True)
"""


class WorkerProcess(Generic[M]):
    """One spawned `python -m module` and the channel to it."""

    def __init__(
        self,
        name: str,
        module: str,
        receives: type[M] | UnionType,
        on_message: Callable[[M, list[int]], None],
        on_exit: Callable[[int], None],
        on_confined: Callable[[Confined], None] = lambda _: None,
        words: Sequence[str] = (),
    ) -> None:
        """`on_confined` hears what of the worker's sandbox holds; `words` are its arguments."""
        self.name = name
        self._module = module
        self._words = words
        self._on_confined = on_confined
        heard: type = list[receives | Confined]  # type: ignore[valid-type]  # a value at run time
        self._decoder: msgspec.msgpack.Decoder[list[M | Confined]] = msgspec.msgpack.Decoder(heard)
        self._on_message = on_message
        self._on_exit = on_exit
        self._sock: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._unsent: deque[tuple[bytes, list[int]]] = deque()  # with descriptors of our own
        self._sending = False
        self._behind = False  # the worker: what is unsent waits for it to read
        self._cgroup: Cgroup | None = None
        self.exceeded = 0  # bytes: the limit of memory at which the last one was killed

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._sock is not None

    async def start(self, room: int | None = None) -> None:
        """Spawn the worker. It may not be called again before `on_exit`.

        `room`: bytes of memory that it may take beyond what it has at its start, in a cgroup of its own where the box
        has a place for one. None: as much as the agent.

        Raises:
            Retryable: the box has no process, descriptor or memory left for it.
        """
        assert self._sock is None, f"a second {self.name} worker would take the channel of the first"
        try:
            self._sock, self._process = await self._spawn(room)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread to watch it
            raise Retryable(f"no {self.name} worker can be started now: {error}") from error
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)
        _goes_first(self._process.pid)
        self._reaper = asyncio.create_task(self._reap(self._process), name=f"reap {self.name}")

    def send(self, message: M | msgspec.Struct, fds: Sequence[int] = (), *, at_once: bool = False) -> None:
        """At the end of this turn of the loop, with what else was sent in it; `at_once` to one that has nothing to do.
        A worker that is behind gets it later.

        Raises:
            Retryable: the worker is gone, or there is no descriptor left to send one.
        """
        if self._sock is None:
            raise Retryable(f"the {self.name} worker is not running")
        content = channel.encode(message)
        try:
            self._unsent.append((content, _copies(fds)))
        except OSError as error:
            raise Retryable(f"nothing can be sent to the {self.name} worker now: {error.strerror}") from error
        if self._sending:
            return
        self._sending = True
        if at_once:
            self._flush()
        else:
            asyncio.get_running_loop().call_soon(self._flush)

    def step_back(self) -> None:
        """Let it run only where no other process wants the core; so will threads that it starts from now on."""
        with contextlib.suppress(OSError):  # it is gone, or the box forbids it: then it runs as the others do
            os.sched_setscheduler(self.pid or -1, os.SCHED_IDLE, os.sched_param(0))

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

    def _confines(self, room: int | None) -> dict[str, str]:
        """Make its cgroup; what it is told of that."""
        if room is None:
            return {}
        found = cgroup.made(room)
        self._cgroup = found if isinstance(found, Cgroup) else None
        return found.environment if isinstance(found, Cgroup) else {cgroup.WHY_NOT: found.reason}

    def _leave(self) -> None:
        """Its cgroup, and how it ended there."""
        left, self._cgroup, self.exceeded = self._cgroup, None, 0
        if left is not None:
            self.exceeded = left.memory_bytes if left.exceeded() else 0
            left.remove()

    async def _spawn(self, room: int | None) -> tuple[socket.socket, asyncio.subprocess.Process]:
        """Our end of the channel, and the process that has the other."""
        ours, theirs = channel.pair()
        ours.setblocking(False)
        environment = {**ENVIRONMENT, **os.environ, **self._confines(room), channel.ENVIRONMENT: str(theirs.fileno())}
        try:
            with theirs:
                return ours, await asyncio.create_subprocess_exec(
                    *self._command(), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, env=environment
                )
        except BaseException:
            ours.close()
            self._leave()
            raise

    def _command(self) -> list[str]:
        return [sys.executable, "-c", _PRELUDE, str(os.getpid()), self._module, *self._words]

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._drain()
        self._close_channel()
        self._leave()
        self._on_exit(code)

    def _readable(self) -> None:
        # One packet, mostly all there is: a look for more would find none. Where there is more the loop comes back, and
        # a chatty worker cannot starve it.
        self._receive_one()

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
            said = self._decoder.decode(content)
            if fds and len(said) != 1:
                raise msgspec.ValidationError("descriptors of nobody")
        except msgspec.MsgspecError:
            # A worker that talks nonsense is as good as dead: it may have been taken over by its input.
            channel.close_all(fds)
            self.kill()
            return False
        for message in said:
            self._deliver(message, fds)
        return True

    def _deliver(self, message: M | Confined, fds: list[int]) -> None:
        if not isinstance(message, Confined):
            self._on_message(message, fds)
            return
        channel.close_all(fds)  # none belongs beside this word
        self._on_confined(message)

    def _flush(self) -> None:
        """Send what is unsent, and the rest when there is room."""
        sock = self._sock
        try:
            while sock is not None and self._unsent:
                self._send_packet(sock)
        except BlockingIOError:
            assert sock is not None
            if not self._behind:
                self._behind = True
                asyncio.get_running_loop().add_writer(sock.fileno(), self._flush)  # until it has read some
            return
        except OSError:
            self._forget_unsent()  # it is gone, and its exit will be told
        if sock is not None and self._behind:
            asyncio.get_running_loop().remove_writer(sock.fileno())
        self._sending = self._behind = False

    def _send_packet(self, sock: socket.socket) -> None:
        first, fds = self._unsent[0]
        together = [first] if fds else [content for content, _ in itertools.takewhile(_is_plain, self._unsent)]
        count = channel.fitting(together)
        channel.send(sock, channel.packet(together[:count]), fds)
        for _ in range(count):
            self._unsent.popleft()
        channel.close_all(fds)

    def _forget_unsent(self) -> None:
        for _, fds in self._unsent:
            channel.close_all(fds)
        self._unsent.clear()

    def _close_channel(self) -> None:
        self._forget_unsent()
        self._sending = self._behind = False
        if self._sock is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None


def _goes_first(pid: int) -> None:
    """Where the box runs out of memory the kernel ends a worker, which is started again, and not the agent."""
    with contextlib.suppress(OSError):  # a container may forbid it
        Path(f"/proc/{pid}/oom_score_adj").write_text(FIRST)


def _copies(fds: Sequence[int]) -> list[int]:
    """Of all of them, or of none. Raises OSError."""
    made: list[int] = []
    try:
        made.extend(os.dup(fd) for fd in fds)
    except OSError:
        channel.close_all(made)
        raise
    return made


def _is_plain(item: tuple[bytes, list[int]]) -> bool:
    return not item[1]
