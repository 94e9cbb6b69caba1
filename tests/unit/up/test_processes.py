"""The children of `up`, with small real programs in place of the real ones."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from controlplane.up.plan import Child, Stage
from controlplane.up.processes import STAGE_SECONDS, Processes
from protos.errors import Fatal

PRINTS_ITS_PID = "import os,signal,subprocess,time; print(os.getpid(), flush=True); {}; time.sleep(60)"
SLEEPS = (sys.executable, "-S", "-c", PRINTS_ITS_PID.format("pass"))
STUBBORN = (sys.executable, "-S", "-c", "import signal; signal.signal(15, signal.SIG_IGN);" + SLEEPS[-1])
STARTS_A_WORKER = "print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
WITH_WORKER = (sys.executable, "-S", "-c", PRINTS_ITS_PID.format(STARTS_A_WORKER))

TELLS_ITS_END = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2])
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        await asyncio.sleep(0.02)


async def pids(processes: Processes, name: str, count: int = 1) -> list[int]:
    """What the child `name` printed since its last start: its own pid and its worker's."""
    await eventually(lambda: len(processes.tail(name).split()) == count)
    return [int(pid) for pid in processes.tail(name).split()]


@pytest.fixture
async def said() -> list[str]:
    return []


@pytest.fixture
async def processes(tmp_path: Path, said: list[str]) -> AsyncIterator[Processes]:
    group = Processes(tmp_path / "logs", said.append)
    yield group
    group.kill()
    await group.stop()


async def test_a_child_that_dies_is_started_again_and_told(processes: Processes, said: list[str]) -> None:
    await processes.start(Child("north-quay", SLEEPS, Stage.AGENTS))
    [first] = await pids(processes, "north-quay")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: said)
    assert await pids(processes, "north-quay") != [first]
    assert said == ["north-quay was killed by SIGKILL; starting it again"]


async def test_a_child_that_keeps_dying_on_a_full_disk_where_it_has_no_last_words_is_told_with_its_reason(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.up.restarts.LONGEST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    dies = (sys.executable, "-S", "-c", "raise SystemExit(1)")
    await processes.start(Child("broker", dies, Stage.BROKER, essential=True))
    sentence = await asyncio.wait_for(processes.lost(), 20)
    full = f"the disk of {tmp_path / 'logs'} is full; free some of it and start again"
    assert sentence == f"broker ended with exit code 1 too often: {full}"


async def test_an_essential_child_that_keeps_dying_ends_the_tree_with_its_last_words(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.up.restarts.LONGEST_DELAY_SECONDS", 0.01)
    dies = (sys.executable, "-S", "-c", "print('no such port'); raise SystemExit(3)")
    await processes.start(Child("broker", dies, Stage.BROKER, essential=True))
    sentence = await asyncio.wait_for(processes.lost(), 20)
    assert sentence.startswith("broker ended with exit code 3 too often")
    assert "no such port" in sentence


async def test_a_worker_that_its_parent_left_behind_is_ended(processes: Processes) -> None:
    await processes.start(Child("south-quay", WITH_WORKER, Stage.AGENTS))
    parent, worker = await pids(processes, "south-quay", 2)
    os.kill(parent, signal.SIGKILL)
    await eventually(lambda: not alive(worker))


async def test_a_child_that_ignores_the_signal_is_killed_after_its_stage(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGE_SECONDS, Stage.AGENTS, 0.1)
    await processes.start(Child("stubborn", STUBBORN, Stage.AGENTS))
    [pid] = await pids(processes, "stubborn")
    await processes.stop()
    assert not alive(pid)


def test_the_stages_together_leave_room_within_five_seconds() -> None:
    assert set(STAGE_SECONDS) == set(Stage)
    assert sum(STAGE_SECONDS.values()) <= 4.0


async def test_stages_end_in_order(processes: Processes, tmp_path: Path) -> None:
    for stage in reversed(Stage):
        command = (sys.executable, "-S", "-c", TELLS_ITS_END, str(tmp_path / "order"), str(int(stage)))
        await processes.start(Child(f"stage-{stage:d}", command, stage))
        await eventually(functools.partial(processes.tail, f"stage-{stage:d}"))
    await processes.stop()
    assert (tmp_path / "order").read_text() == "012"


async def test_a_child_that_never_listens_is_told_with_its_log(processes: Processes, free_port: int) -> None:
    child = Child(
        "control plane",
        (sys.executable, "-S", "-c", "print('migrating'); import time; time.sleep(9)"),
        Stage.CONTROL_PLANE,
        listens=("127.0.0.1", free_port),
    )
    await processes.start(child)
    with pytest.raises(Fatal, match="not ready after"):
        await processes.ready(child, 0.3)


async def test_what_a_child_asks_for_is_told_at_each_start(processes: Processes, tmp_path: Path) -> None:
    repeats = (
        sys.executable,
        "-S",
        "-c",
        "import os,sys,time; print(sys.stdin.readline().strip(), os.getpid(), flush=True); time.sleep(60)",
    )
    answers = iter(["first", "second"])

    async def says() -> str:
        return next(answers)

    await processes.start(Child("quay", repeats, Stage.AGENTS), says)
    await eventually(lambda: processes.tail("quay").startswith("  first "))
    os.kill(int(processes.tail("quay").split()[-1]), signal.SIGKILL)
    await eventually(lambda: processes.tail("quay").startswith("  second "))


def test_children_and_their_workers_die_with_up_even_by_kill_9(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from controlplane.up.plan import Child, Stage
from controlplane.up.processes import STAGE_SECONDS, Processes

async def main():
    processes = Processes(Path({str(tmp_path)!r}), print)
    await processes.start(Child("child", {SLEEPS!r}, Stage.AGENTS))
    while not processes.tail("child"):
        await asyncio.sleep(0.02)
    print(processes.tail("child"), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    up = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert up.stdout
    child = int(up.stdout.readline())
    assert alive(child)
    up.kill()
    up.wait()
    until = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < until
        time.sleep(0.02)
