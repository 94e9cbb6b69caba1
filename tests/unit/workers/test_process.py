"""A worker process: messages, descriptors, death in both directions."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from agent.workers import channel
from agent.workers.memory import SharedSlots
from agent.workers.process import WorkerProcess
from protos.errors import Retryable
from tests.unit.workers.messages import Answer, Ask

MODULE = "tests.unit.workers.echo_worker"


class Owner:
    """Keeps what a worker said and how it ended."""

    def __init__(self, module: str = MODULE) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.exits: asyncio.Queue[int] = asyncio.Queue()
        self.worker = WorkerProcess(
            "echo", module, Answer, lambda message, _: self.answers.put_nowait(message), self.exits.put_nowait
        )


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process may open `count` more."""
    free = [os.dup(0) for _ in range(count)]
    for fd in free:
        os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free, default=-1) + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def links(pid: int | None) -> list[str]:
    """What a process has open beside its standard streams."""
    return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if int(each.name) > 2]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_message_is_answered_by_another_process() -> None:
    owner = Owner()
    await owner.worker.start()
    owner.worker.send(Ask(21))
    answer = await owner.answers.get()
    assert (answer.number, answer.pid) == (42, owner.worker.pid)
    assert answer.pid != os.getpid()
    await owner.worker.stop()
    assert await owner.exits.get() == 0


async def test_what_is_sent_at_once_has_left_before_the_loop_turns() -> None:
    owner = Owner()
    await owner.worker.start()
    assert owner.worker.pid is not None
    worker = os.pidfd_open(owner.worker.pid)
    owner.worker.send(Ask(-3), at_once=True)
    ended, _, _ = select.select([worker], [], [], 10.0)
    os.close(worker)
    assert ended, "the worker has not got what would end it"
    assert await owner.exits.get() == 3


async def test_what_is_sent_at_once_overtakes_nothing() -> None:
    owner = Owner()
    await owner.worker.start()
    for number in range(6):
        owner.worker.send(Ask(number), at_once=number % 2 == 0)
    assert [(await owner.answers.get()).number for _ in range(6)] == [0, 2, 4, 6, 8, 10]
    await owner.worker.stop()


async def test_shared_memory_reaches_the_worker_without_a_name() -> None:
    owner = Owner()
    await owner.worker.start()
    memory = SharedSlots.create(2, 5)
    memory.view(0)[:] = b"hello"
    owner.worker.send(Ask(1), [memory.fd])
    assert (await owner.answers.get()).text == "hello"
    memory.close()
    await owner.worker.stop()


async def test_a_killed_worker_is_reported_once_and_refuses_messages() -> None:
    owner = Owner()
    await owner.worker.start()
    assert owner.worker.pid
    os.kill(owner.worker.pid, signal.SIGKILL)
    assert await owner.exits.get() == -signal.SIGKILL
    with pytest.raises(Retryable):
        owner.worker.send(Ask(1))
    assert owner.exits.empty()


async def test_a_worker_can_be_started_again_after_it_died() -> None:
    owner = Owner()
    for _ in range(3):
        await owner.worker.start()
        owner.worker.send(Ask(-7))
        assert await owner.exits.get() == 7
    descriptors = open_descriptors()
    await owner.worker.start()
    owner.worker.send(Ask(-7))
    await owner.exits.get()
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("left", [0, 2], ids=["no channel", "a channel and no process"])
async def test_a_worker_that_cannot_be_started_leaves_nothing_and_can_be_started_later(left: int) -> None:
    owner = Owner()
    await owner.worker.start()
    await owner.worker.stop()
    await owner.exits.get()
    before = open_descriptors()
    with descriptors_left(left), pytest.raises(Retryable, match="no echo worker can be started now") as caught:
        await owner.worker.start()
    assert open_descriptors() == before, f"{caught.value} is still known, so nothing was closed by forgetting it"
    assert owner.exits.empty()
    await owner.worker.start()
    owner.worker.send(Ask(21))
    assert (await owner.answers.get()).number == 42
    await owner.worker.stop()


async def test_what_cannot_be_sent_whole_leaves_no_descriptor_behind() -> None:
    owner = Owner()
    await owner.worker.start()
    before = open_descriptors()
    with descriptors_left(2), pytest.raises(Retryable, match="nothing can be sent"):
        owner.worker.send(Ask(1), fds=[0, 0, 0])
    assert open_descriptors() == before
    await owner.worker.stop()


async def test_what_a_worker_sends_beside_nonsense_is_closed() -> None:
    owner = Owner("tests.unit.workers.raving_worker")
    before = open_descriptors()
    await owner.worker.start()
    assert await owner.exits.get() == -signal.SIGKILL
    assert open_descriptors() == before


def test_a_worker_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio
        from tests.unit.workers.test_process import Owner
        async def main():
            owner = Owner()
            await owner.worker.start()
            print(owner.worker.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{worker}").exists()


async def test_what_is_sent_in_one_turn_of_the_loop_arrives_in_order_however_far_behind_the_worker_is() -> None:
    owner = Owner()
    await owner.worker.start()
    for number in range(20_000):
        owner.worker.send(Ask(number))
    said = [(await owner.answers.get()).number for _ in range(20_000)]
    assert said == [2 * number for number in range(20_000)]
    await owner.worker.stop()


async def test_what_was_not_sent_when_the_worker_is_stopped_leaves_no_descriptor() -> None:
    owner, open_before = Owner(), open_descriptors()
    await owner.worker.start()
    memory = SharedSlots.create(1, 5)
    owner.worker.send(Ask(1), [memory.fd])
    await owner.worker.stop()
    memory.close()
    assert open_descriptors() <= open_before


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_worker_has_nothing_open_that_it_was_not_given(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def opened() -> list[str]:
        owner = Owner()
        await owner.worker.start()
        owner.worker.send(Ask(1))
        await owner.answers.get()
        found = links(owner.worker.pid)
        await owner.worker.stop()
        return found

    ours = os.memfd_create("ours", 0)  # as a native library may open one: for every child to have
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            found = runner.run(opened())
    finally:
        os.close(ours)
    assert [each.partition(":")[0] for each in found] == ["socket"]


@pytest.mark.parametrize(
    "module",
    [
        "agent.cameras.worker",
        "agent.inference.worker",
        "agent.inference.decode_worker",
        "agent.inference.compiler_worker",
    ],
)
def test_a_worker_that_is_no_longer_wanted_when_it_has_started_ends_without_a_traceback(module: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.close()
        environment = {**os.environ, channel.ENVIRONMENT: str(theirs.fileno())}
        command = [sys.executable, "-m", module]
        ended = subprocess.run(
            command, env=environment, pass_fds=[theirs.fileno()], capture_output=True, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (0, "")
