"""Deaths around cameras: workers killed, crashing and hanging, network cameras going away. Neighbours feel nothing."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.cameras import demo_clip
from agent.cameras.messages import FrameReady
from agent.cameras.stats import CameraStats
from agent.types import Box, CameraState, ModelInput, View
from protos.errors import Retryable
from tests.servers.rtsp import RtspServer
from tests.sim.yard import Yard, opened_yard, plan, tap

SYS_TGKILL = 234  # x86-64 and no libc wrapper before glibc 2.30; aarch64 has 131
BACK_SECONDS = 1.0  # a killed worker's cameras give frames again, plus what a busy machine adds
SLACK = 3.0


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with opened_yard() as yard:
        yield yard


def pid_of(yard: Yard, camera: str) -> int:
    return yard.captures.hosts()[plan(camera).name]


def crash_thread(pid: int, camera: str) -> None:
    """A fault in the native code that this camera's thread runs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == camera:
            number = SYS_TGKILL if os.uname().machine == "x86_64" else 131
            ctypes.CDLL(None).syscall(number, pid, int(task.name), signal.SIGSEGV)
            return
    raise AssertionError(f"no thread of {camera} in {pid}")


async def gone(yard: Yard, pid: int) -> None:
    await yard.until(lambda: pid not in yard.captures.worker_pids)


async def test_after_kill_9_the_cameras_are_back_at_once_and_numbers_go_on(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("quay"), 3)
    await yard.frames(tap("gate"), 1)
    seen = len(yard.seen[tap("quay")])
    died = time.monotonic()
    os.kill(pid_of(yard, "quay"), signal.SIGKILL)
    await yard.until(lambda: yard.state("quay") is CameraState.RETRYING)
    assert "SIGKILL" in yard.health["quay"][-1].reason
    await yard.frames(tap("quay"), 2)
    assert time.monotonic() - died < BACK_SECONDS + SLACK
    await yard.until(lambda: yard.state("quay") is yard.state("gate") is CameraState.RUNNING)
    assert len(yard.seen[tap("quay")]) >= seen + 2
    assert yard.captures.stats()[plan("quay").name].restarts == 1


async def test_frames_announced_before_a_death_stay_readable_until_they_are_given_back(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    yard.holding.add(tap("quay"))
    held = await yard.frames(tap("quay"), 2)
    memory = yard.captures.slots_fd(tap("quay"))
    before = [os.pread(memory[0], 64 * 64 * 3, frame.slot * 4096 * 3) for frame in held]
    os.kill(pid_of(yard, "quay"), signal.SIGKILL)
    later = await yard.frames(tap("quay"), 2)
    assert {frame.slot for frame in later}.isdisjoint({frame.slot for frame in held})
    assert yard.captures.slots_fd(tap("quay")) == memory
    assert [os.pread(memory[0], 64 * 64 * 3, frame.slot * 4096 * 3) for frame in held] == before
    with pytest.raises(Retryable):
        await yard.captures.encode(tap("quay"), held[0].slot, View(64, 80))
    assert await yard.captures.encode(tap("quay"), later[0].slot, View(64, 80))
    yard.give_back(tap("quay"))
    await yard.frames(tap("quay"), 8)


async def test_a_picture_that_was_asked_for_is_not_waited_for_in_vain(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    pid = pid_of(yard, "quay")
    os.kill(pid, signal.SIGSTOP)
    asked = asyncio.create_task(yard.captures.preview(plan("quay").name))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Retryable):
        await asked


async def test_a_camera_that_kills_its_worker_twice_is_put_alone(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"), plan("yard"))
    for _ in range(2):
        await yard.frames(tap("gate"), 2)
        pid = pid_of(yard, "gate")
        crash_thread(pid, "gate")
        await gone(yard, pid)
    await yard.frames(tap("gate"), 2)
    await yard.frames(tap("quay"), 2)
    assert pid_of(yard, "quay") == pid_of(yard, "yard") != pid_of(yard, "gate")
    calm = _restarts(yard, "quay")
    crash_thread(pid_of(yard, "gate"), "gate")
    await yard.frames(tap("gate"), 2)
    assert _restarts(yard, "quay") == calm


async def test_a_worker_that_hangs_is_replaced(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cameras.group.SILENT_SECONDS", 1.5)
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    os.kill(pid_of(yard, "quay"), signal.SIGSTOP)
    await yard.until(lambda: _restarts(yard, "quay") == 1)
    await yard.frames(tap("quay"), 2)


async def test_a_worker_that_leaks_is_replaced(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cameras.group.MODULE", "tests.sim.leaking_worker")
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    await yard.until(lambda: _restarts(yard, "quay") == 1)
    await yard.frames(tap("quay"), 2)


async def test_a_tap_added_while_its_worker_is_down_is_fed_when_it_is_back(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    os.kill(pid_of(yard, "quay"), signal.SIGKILL)
    other = tap("quay", "other")
    await yard.apply(plan("quay"), plan("gate"), taps={tap("quay"): ModelInput(64, 64), other: ModelInput(32, 32)})
    await yard.frames(other, 2)
    await yard.frames(tap("quay"), 2)


async def test_a_removed_camera_does_not_come_back_with_its_worker(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("quay"), 1)
    os.kill(pid_of(yard, "quay"), signal.SIGKILL)
    await yard.apply(plan("gate"))
    await yard.frames(tap("gate"), 2)
    seen = len(yard.seen[tap("quay")])
    await yard.frames(tap("gate"), 5)
    assert len(yard.seen[tap("quay")]) == seen


@pytest.mark.rtsp
async def test_a_network_camera_that_goes_away_comes_back_and_costs_its_neighbour_nothing(
    yard: Yard, rtsp_factory: Callable[[Path], RtspServer], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    demo_clip.write(clip, seconds=1.5)
    server = await asyncio.to_thread(rtsp_factory, clip)
    await yard.apply(plan("quay", server.url, 10), plan("gate"))
    await yard.frames(tap("quay"), 3)
    server.stop()
    await yard.until(lambda: yard.state("quay") in (CameraState.RETRYING, CameraState.STALLED))
    await yard.until(lambda: yard.health["quay"][-1].reason.startswith("refused"))
    await asyncio.to_thread(server.start)
    await yard.frames(tap("quay"), 3)
    await yard.until(lambda: yard.state("quay") is CameraState.RUNNING)
    gate = yard.seen[tap("gate")]
    assert max(b.captured - a.captured for a, b in itertools.pairwise(gate)) < 1.0
    assert _health(yard, "gate") <= {CameraState.STARTING, CameraState.RUNNING}


def _restarts(yard: Yard, camera: str) -> int:
    return yard.captures.stats()[plan(camera).name].restarts


def _health(yard: Yard, camera: str) -> set[CameraState]:
    stats: list[CameraStats] = yard.health[camera]
    return {each.state for each in stats}


async def test_a_worker_that_announces_what_cannot_be_is_replaced(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    yard.holding.add(tap("quay"))
    (frame, *_) = await yard.frames(tap("quay"), 1)
    (group,) = yard.captures._groups.values()
    (feed,) = yard.captures._feeds.values()
    for slot in (99, frame.slot):
        seen, restarts = len(yard.seen[tap("quay")]), _restarts(yard, "quay")
        lie = FrameReady(feed.number, 10_000, slot, 0.0, 0, frame.geometry, "clock", 0.0, 0.0)
        group.on_message(group, lie)
        assert len(yard.seen[tap("quay")]) == seen
        await _restarted(yard, "quay", restarts + 1)


async def _restarted(yard: Yard, camera: str, restarts: int) -> None:
    await yard.until(lambda: _restarts(yard, camera) == restarts and yard.state(camera) is CameraState.RUNNING)


async def test_a_picture_that_cannot_be_drawn_costs_only_its_caller(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    nowhere = Box(float("nan"), 0.0, 1.0, 1.0, 0.5, "boat")
    with pytest.raises(Retryable):
        await yard.captures.preview(plan("quay").name, [nowhere])
    assert await yard.captures.preview(plan("quay").name)
    assert _restarts(yard, "quay") == 0
