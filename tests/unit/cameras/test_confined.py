"""Capture workers in their sandboxes, as they run: what holds, what files and ports do, who is started anew."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.cameras.group import Group
from agent.cameras.needs import Kind, Needs
from agent.types import CameraState
from agent.workers.process import WorkerProcess
from sandbox import kernel, landlock
from tests.sim.clips import write_clip
from tests.sim.clock import FakeClock
from tests.sim.yard import Yard, plan, tap

OFFERED = landlock.version() >= landlock.NETWORK_VERSION and kernel.machine() is not None


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.skipif(not OFFERED, reason="this kernel lacks a layer; Linux 6.7 on x86_64 or aarch64 has all")
async def test_every_kind_of_worker_says_that_all_layers_hold(yard: Yard, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    await yard.apply(
        plan("drawn"),
        plan("file", f"file://{clip}"),
        plan("net", "rtsp://127.0.0.1:9/x"),
        plan("dev", "device:///dev/x"),
    )
    await yard.until(lambda: len(yard.confined) == 4)
    assert sorted(word.profile for word in yard.confined) == ["device", "network", "pictures", "pictures"]
    assert [word.missing for word in yard.confined] == [()] * 4


async def test_a_worker_is_confined_before_it_hears_of_a_camera(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.until(lambda: len(yard.confined) == 1)
    (pid,) = yard.captures.worker_pids
    assert {name: status(pid)[name] for name in ("NoNewPrivs", "Seccomp", "CapEff")} == {
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "CapEff": "0" * 16,
    }
    await yard.frames(tap("quay"), 3)


@pytest.mark.parametrize(
    ("codec", "pixels", "kind"),
    [
        ("libx264", "yuv420p", "mkv"),
        ("libx265", "yuv420p", "mp4"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("mjpeg", "yuvj422p", "avi"),
        ("ffv1", "yuv422p10le", "mkv"),
        ("rawvideo", "rgb24", "avi"),
    ],
)
async def test_whatever_is_decoded_is_decoded_in_a_sandbox(
    yard: Yard, tmp_path: Path, codec: str, pixels: str, kind: str
) -> None:
    clip = write_clip(tmp_path / f"a.{kind}", codec=codec, pixels=pixels)
    await yard.apply(plan("quay", f"file://{clip}"))
    await yard.frames(tap("quay"), 14)  # across its loop
    assert len(await yard.captures.preview(plan("quay").name)) > 500


async def test_a_file_that_appears_later_is_played_by_the_same_worker(yard: Yard, tmp_path: Path) -> None:
    await yard.apply(plan("quay", f"file://{tmp_path}/a.mp4"))
    await yard.until(lambda: yard.state("quay") is CameraState.RETRYING)
    assert yard.health["quay"][-1].reason.startswith("not found")
    pids = yard.captures.worker_pids
    write_clip(tmp_path / "a.mp4")
    await yard.frames(tap("quay"), 3)
    assert yard.captures.worker_pids == pids


async def test_a_file_that_another_took_the_place_of_is_played_when_the_stream_opens_again(
    yard: Yard, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    await yard.apply(plan("quay", f"file://{clip}"))
    await yard.frames(tap("quay"), 2)
    write_clip(tmp_path / "b.mp4", size=(320, 240)).rename(clip)
    await yard.captures.pause(True)
    await yard.captures.pause(False)
    await yard.until(lambda: yard.captures.stats()[plan("quay").name].width == 320)
    assert {stats.restarts for stats in yard.health["quay"]} == {0}


async def test_a_camera_that_is_given_another_kind_of_source_moves_and_its_neighbour_stays(
    yard: Yard, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("gate"), 2)
    before = yard.captures.hosts()
    await yard.apply(plan("quay", f"file://{clip}"), plan("gate"))
    await yard.frames(tap("quay"), 3)
    after = yard.captures.hosts()
    assert after[plan("gate").name] == before[plan("gate").name] != after[plan("quay").name]
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("quay"), 3)
    assert yard.captures.hosts() == before


async def test_a_port_that_a_worker_gave_up_is_asked_for_by_the_next(yard: Yard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = (f"rtsp://127.0.0.1:{server.getsockname()[1]}/x" for server in (one, two))
        await yard.apply(plan("quay", first))
        await yard.until(lambda: len(yard.confined) == 1)
        pids = yard.captures.worker_pids
        await yard.apply(plan("quay", first), plan("gate", second))
        await yard.until(lambda: len(yard.confined) == 2)
        two.settimeout(20.0)
        two.accept()[0].close()  # it got there
        assert yard.captures.worker_pids != pids
        assert len(set(yard.captures.hosts().values())) == 1
        pids = yard.captures.worker_pids
        await yard.apply(plan("quay", first))
        assert yard.captures.worker_pids == pids, "fewer ports are no reason"


class Spy(WorkerProcess[object]):  # type: ignore[type-var]  # never started, so it decodes nothing
    """Counts its kills."""

    def __init__(self) -> None:
        self.kills = 0

    def kill(self) -> None:
        self.kills += 1


def test_a_device_that_was_plugged_in_again_needs_a_fresh_worker(clock: FakeClock, tmp_path: Path) -> None:
    path, spy = tmp_path / "video0", Spy()
    path.touch()
    group = Group(0, clock, lambda *_: None, lambda *_: None, needs=Needs(Kind.DEVICE, device=str(path)))
    group._process, group._heard = spy, clock.monotonic()  # type: ignore[assignment]  # a process that only counts
    group._settle()
    group.check()
    assert spy.kills == 0
    (tmp_path / "other").touch()
    path.unlink()
    group.check()
    assert spy.kills == 0, "one that is gone is nothing to open"
    (tmp_path / "other").rename(path)
    group.check()
    assert spy.kills == 1
