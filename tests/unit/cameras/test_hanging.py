"""Sources that do not come back: shown as stalled, never opened twice, tried again by another process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.cameras import spec
from agent.cameras.loop import Camera
from agent.cameras.messages import HealthChanged, Hung
from agent.cameras.source import HUNG_SECONDS, FrameSource, Reason, Shot, SourceLost
from agent.cameras.spec import CameraSpec
from agent.types import CameraState
from tests.sim.yard import PATIENCE, Yard, plan, tap

LATER = HUNG_SECONDS + 1.0


class Driver:
    """Devices whose reads come back when `lets_go` is set, told to stop or not; it counts who has one open."""

    def __init__(self) -> None:
        self.lets_go = threading.Event()
        self.reads = threading.Semaphore(0)
        self.open = self.most_open = 0

    def source(self, _: CameraSpec) -> FrameSource:
        return Stuck(self)


class Stuck:
    resting = False

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def open(self) -> None:
        self._driver.open += 1
        self._driver.most_open = max(self._driver.most_open, self._driver.open)

    def read(self) -> Shot:
        self._driver.reads.release()
        self._driver.lets_go.wait(2 * PATIENCE)
        raise SourceLost(Reason.ENDED)

    def pace(self, rate: float) -> None: ...

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self._driver.open -= 1


class Bench:
    def __init__(self) -> None:
        self.driver = Driver()
        self.said: list[msgspec.Struct] = []
        self.camera = Camera("quay", self.said.append, 0, self.driver.source)

    def configure(self, path: str = "/dev/video0", *, paused: bool = False) -> None:
        self.camera.configure(spec.parse("quay", f"device://{path}", 10), paused=paused)

    def reads(self) -> None:
        """Wait until a thread is in its source."""
        assert self.driver.reads.acquire(timeout=PATIENCE)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.camera.end()
    bench.driver.lets_go.set()


def test_a_thread_that_does_not_come_back_is_told_once_with_its_reason(bench: Bench) -> None:
    bench.configure()
    bench.reads()
    bench.camera.look(time.monotonic() + 1.0)
    assert Hung("quay") not in bench.said
    for _ in range(3):
        bench.camera.look(time.monotonic() + LATER)
    assert bench.said.count(Hung("quay")) == 1
    *_, health = (word for word in bench.said if isinstance(word, HealthChanged))
    assert health.state is CameraState.STALLED
    assert health.reason.startswith("hung: the system gave nothing for 10 s")


def test_a_source_that_waits_for_its_pictures_time_does_not_hang(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stuck, "resting", True)
    bench.configure()
    bench.reads()
    bench.camera.look(time.monotonic() + LATER)
    assert Hung("quay") not in bench.said


def test_a_camera_started_again_waits_until_its_source_was_let_go(bench: Bench) -> None:
    bench.configure()
    bench.reads()
    bench.configure(paused=True)
    bench.configure()
    assert not bench.driver.reads.acquire(timeout=0.2)
    bench.camera.look(time.monotonic() + LATER)
    assert Hung("quay") in bench.said, "and if it never is, that is told"
    bench.driver.lets_go.set()
    bench.reads()
    assert bench.driver.most_open == 1


def test_a_camera_that_is_given_another_source_does_not_wait_for_the_old_one(bench: Bench) -> None:
    bench.configure()
    bench.reads()
    bench.configure("/dev/video1")
    bench.reads()


# ---- what the agent makes of it ----


async def test_a_camera_that_hangs_is_moved_from_its_neighbours_before_its_worker_is_ended(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("gate"), 1)
    first = yard.captures.hosts()
    (group,) = yard.captures._groups.values()
    group.on_message(group, Hung("quay"))
    await yard.until(lambda: len(yard.captures.worker_pids) == 2)
    await yard.frames(tap("quay"), 1)
    assert yard.captures.hosts()[plan("gate").name] == first[plan("gate").name]
    assert {stats.restarts for stats in yard.health["gate"]} == {0}


async def test_a_camera_that_hangs_alone_stays_stalled_with_its_reason_until_a_picture_comes(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.until(lambda: any(each.state is CameraState.RUNNING for each in yard.health["quay"]))
    (group,) = yard.captures._groups.values()
    group.on_message(group, HealthChanged("quay", CameraState.STALLED, "hung: nothing comes", 1, 0))
    group.on_message(group, Hung("quay"))
    said = len(yard.health["quay"])
    await yard.until(lambda: any(each.state is CameraState.RUNNING for each in yard.health["quay"][said:]))
    *died, back = yard.health["quay"][said:]  # more than once where a busy machine takes long to start a worker
    assert {(each.state, each.reason) for each in died} == {(CameraState.STALLED, "hung: nothing comes")}
    assert (died[0].restarts, back.reason) == (2, "")


async def test_a_device_never_shares_a_worker(yard: Yard) -> None:
    await yard.apply(plan("quay", "device:///dev/video97"), plan("gate"), plan("yard"))
    hosts = yard.captures.hosts()
    assert hosts[plan("gate").name] == hosts[plan("yard").name] != hosts[plan("quay").name]


async def test_a_file_that_never_opens_ends_with_its_camera(yard: Yard, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    await yard.apply(plan("quay", f"file://{tmp_path}/clip.mp4"), plan("gate"))
    await yard.frames(tap("gate"), 2)
    await yard.apply(plan("gate"))
    await yard.frames(tap("gate"), 2)
    assert {stats.restarts for stats in yard.health["gate"]} == {0}
