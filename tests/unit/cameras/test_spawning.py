"""A box that is short of descriptors: a capture worker or a tap's memory that cannot be had now is tried again."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator

import pytest

from agent.cameras import group, placement
from agent.types import CameraState, ModelInput
from protos.errors import Retryable
from sandbox import cgroup
from sandbox.hierarchy import Absent
from tests.sim.yard import Yard, plan, tap


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened meanwhile; what is open goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_worker_that_cannot_be_started_is_told_with_its_reason_and_started_later(yard: Yard) -> None:
    with no_descriptors():
        await yard.apply(plan("quay"), taps={})
    assert yard.state("quay") is CameraState.RETRYING
    assert "no capture-0 worker can be started now: [Errno 24]" in yard.health["quay"][-1].reason
    await yard.until(lambda: yard.state("quay") is CameraState.RUNNING)
    assert yard.health["quay"][-1].reason == ""


async def test_a_worker_that_cannot_be_started_costs_the_others_nothing(yard: Yard) -> None:
    first = [plan(f"gate-{index}", rate=5) for index in range(placement.LIMIT)]
    await yard.apply(*first)
    await yard.frames(tap("gate-0"), 1)
    fed = {tap(each.name): ModelInput(64, 64) for each in first}
    with no_descriptors():
        await yard.apply(*first, plan("quay"), taps=fed)
        assert yard.state("quay") is CameraState.RETRYING
        await yard.frames(tap("gate-0"), 2)
    await yard.until(lambda: yard.state("quay") is CameraState.RUNNING)


async def test_a_worker_that_died_and_cannot_be_started_again_at_once_comes_back(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    (pid,) = yard.captures.worker_pids
    os.kill(pid, signal.SIGKILL)
    with no_descriptors():
        await yard.until(lambda: "no capture-0 worker" in yard.health["quay"][-1].reason)
    await yard.frames(tap("quay"), 2)


async def test_a_tap_that_finds_no_memory_is_fed_the_next_time_it_is_asked_for(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    for size in (96, 32):
        with no_descriptors():
            await yard.apply(plan("quay"), taps={tap("quay"): ModelInput(size, size)})
            with pytest.raises(Retryable):
                yard.captures.slots_fd(tap("quay"))
    await yard.apply(plan("quay"), taps={tap("quay"): ModelInput(32, 32)})
    await yard.frames(tap("quay"), 2)


@pytest.mark.skipif(isinstance(cgroup.own(), Absent), reason="no cgroup can be made here")
async def test_a_worker_that_outgrows_its_cgroup_is_started_again_and_its_camera_says_why(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "ROOM", (16 << 20) - cgroup.AT_START)  # it does not get as far as its first picture
    await yard.apply(plan("quay"), taps={})
    await yard.until(lambda: any(each.restarts for each in yard.health["quay"]))
    fallen = next(each for each in yard.health["quay"] if each.restarts)
    assert fallen.reason.startswith("its capture worker took more memory than the 0.0 GiB it may have")
    monkeypatch.undo()
    await yard.until(lambda: yard.state("quay") is CameraState.RUNNING)
