"""Cgroups of workers by the kernel of this machine: what they hold, what is told of it, and that none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.workers.process import WorkerProcess
from sandbox import cgroup
from sandbox.hierarchy import LEAST_TASKS, PREFIX, TASKS_PER_CORE, Absent, Hierarchy
from sandbox.report import Confined, Layer
from tests.unit.sandbox import hoarder
from tests.unit.workers.messages import Answer, Ask

OURS = cgroup.own()
needs_cgroup = pytest.mark.skipif(isinstance(OURS, Absent), reason=f"no cgroup can be made here: {OURS}")
ROOM = 128 << 20  # bytes, beside those at its start
LIMIT = ROOM + cgroup.AT_START
MUCH, LITTLE = (LIMIT >> 20) + 64, 8  # MiB


class Hoarder:
    """One such worker and what it said."""

    def __init__(self, *words: str) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.exits: asyncio.Queue[int] = asyncio.Queue()
        self.said: asyncio.Queue[Confined] = asyncio.Queue()
        self.worker = WorkerProcess(
            "hoarder",
            hoarder.__name__,
            Answer,
            lambda message, _: self.answers.put_nowait(message),
            self.exits.put_nowait,
            self.said.put_nowait,
            words,
        )

    async def start(self, room: int | None = ROOM) -> Layer | None:
        """What it says of its cgroup."""
        await self.worker.start(room)
        layers = (await self.said.get()).layers
        return next((layer for layer in layers if layer.name == "cgroup"), None)

    async def takes(self, number: int) -> int:
        self.worker.send(Ask(number))
        return (await self.answers.get()).number


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Hoarder]]:
    made: list[Hoarder] = []

    def one(*words: str) -> Hoarder:
        made.append(Hoarder(*words))
        return made[-1]

    yield one
    for each in made:
        await each.worker.stop()


def place() -> Hierarchy:
    assert isinstance(OURS, Hierarchy)
    return OURS


def ours() -> list[Path]:
    """Cgroups of workers of this process, in all hierarchies."""
    return [each for folder in place().folders for each in folder.glob(f"{PREFIX}{os.getpid()}-*")]


@needs_cgroup
async def test_a_worker_is_in_a_cgroup_of_its_own_and_proves_it(make: Callable[..., Hoarder]) -> None:
    one, other = make(), make()
    for each in (one, other):
        assert await each.start() == Layer("cgroup", holds=True, detail="0.6 GiB", vital=False)
        inside = {int(pid) for folder in ours() for pid in (folder / "cgroup.procs").read_text().split()}
        assert each.worker.pid in inside
        assert os.getpid() not in inside
    assert len(ours()) == 2 * len(place().folders)


@needs_cgroup
async def test_a_cgroup_may_have_any_name(make: Callable[..., Hoarder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "PREFIX", f"{PREFIX}{os.getpid()}-pod.slice:containerd one-")
    layer = await make().start()
    assert layer is not None
    assert layer.holds, layer.detail


@needs_cgroup
async def test_memory_that_no_address_space_counts_ends_the_one_that_took_it_and_nobody_else(
    make: Callable[..., Hoarder],
) -> None:
    greedy, modest, free = make(), make(), make()
    await greedy.start()
    await modest.start()
    await free.start(None)
    assert await free.takes(MUCH) == MUCH, "without a cgroup it is there to be had"
    greedy.worker.send(Ask(MUCH))
    assert await greedy.exits.get() == -signal.SIGKILL
    assert greedy.worker.exceeded == LIMIT
    assert await modest.takes(LITTLE) == LITTLE
    await greedy.start()
    assert greedy.worker.exceeded == LIMIT, "of the last one that ended"
    assert await greedy.takes(LITTLE) == LITTLE


@needs_cgroup
async def test_a_worker_that_is_killed_within_its_limit_exceeded_none(make: Callable[..., Hoarder]) -> None:
    one = make()
    await one.start()
    one.worker.kill()
    assert await one.exits.get() == -signal.SIGKILL
    assert one.worker.exceeded == 0


@needs_cgroup
@pytest.mark.skipif(isinstance(OURS, Absent) or OURS.tasks is None, reason="no cgroup counts threads here")
async def test_threads_beyond_the_limit_are_not_started(make: Callable[..., Hoarder]) -> None:
    one, free = make(), make()
    most = max(LEAST_TASKS, TASKS_PER_CORE * (os.cpu_count() or 1))
    await one.start()
    await free.start(None)
    assert await one.takes(-most - 8) < most
    assert await free.takes(-most - 8) == most + 8


@needs_cgroup
@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_cgroup_ends_with_its_worker(make: Callable[..., Hoarder], how: str) -> None:
    one = make()
    await one.start()
    assert ours()
    if how == "killed":
        one.worker.kill()
    await one.worker.stop()
    assert await one.exits.get() == (0 if how == "stopped" else -signal.SIGKILL)
    assert ours() == []


@needs_cgroup
async def test_what_a_killed_agent_left_is_removed_by_the_next_and_what_a_living_one_has_is_not(
    make: Callable[..., Hoarder],
) -> None:
    await make().start()
    kept, left = ours(), await asyncio.to_thread(left_by_a_killed_one)
    assert left
    for _ in range(50):  # its worker may still be ending
        assert await asyncio.to_thread(found_by_another) == str(OURS)
        if not any(each.exists() for each in left):
            break
    assert not any(each.exists() for each in left)
    assert ours() == kept


def left_by_a_killed_one() -> list[Path]:
    script = textwrap.dedent(
        """
        import asyncio, os, signal
        from tests.unit.sandbox.test_cgroups import Hoarder, ours
        async def main():
            await Hoarder().start()
            print(*ours(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return [path for path in map(Path, done.stdout.split()) if path.exists()]


def found_by_another() -> str:
    script = "from sandbox import cgroup; print(cgroup.own())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


async def test_a_box_without_a_place_for_one_stops_no_worker_and_is_told_why(
    make: Callable[..., Hoarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "own", lambda: Absent("/sys/fs/cgroup is read-only"))
    layer = await make().start()
    assert layer == Layer("cgroup", holds=False, detail="/sys/fs/cgroup is read-only", vital=False)
    layer = await make(hoarder.GPU).start()
    assert layer is not None
    assert layer.vital, "nothing else limits the memory of a worker with a driver"


@needs_cgroup
async def test_a_worker_that_is_not_where_it_should_be_says_so(
    make: Callable[..., Hoarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup.Cgroup, "environment", {cgroup.FOLDERS: str(place().memory / "gone")})
    layer = await make().start()
    assert layer == Layer("cgroup", holds=False, detail="one was made, and this process is not in it", vital=False)


@needs_cgroup
async def test_a_worker_whose_cgroup_limits_nothing_says_so(
    make: Callable[..., Hoarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "limits", lambda *_: [])
    layer = await make().start()
    assert layer == Layer("cgroup", holds=False, detail="one was made, and it has no limit", vital=False)
