"""Cameras at run time, with real workers: added, changed, removed, refused, looked at; due frames accounted for."""

from __future__ import annotations

import asyncio
import logging
import math
import mmap
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.messages import MAX_JPEG, FrameReady, SetCamera, Superseded
from agent.types import Box, CameraState, ModelInput, Tap, View, Zone
from protos.errors import Retryable
from protos.ids import CameraName
from protos.regions import Region
from tests.sim.yard import SMALL, Yard, plan, tap

LARGE = "synthetic://harbour?seed=1"


def decoded(jpeg: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_frames_arrive_numbered_without_gaps_and_lie_in_the_taps_memory(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    fd, slots = yard.captures.slots_fd(tap("quay"))
    yard.holding.add(tap("quay"))
    frames = await yard.frames(tap("quay"), slots)
    assert [frame.seq for frame in frames] == list(range(1, slots + 1))
    with mmap.mmap(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ) as memory:
        stride = os.fstat(fd).st_size // slots
        for frame in frames:
            pixels = np.frombuffer(memory[frame.slot * stride : frame.slot * stride + 64 * 64 * 3], np.uint8)
            assert pixels.std() > 10


async def test_every_due_frame_is_announced_or_superseded(yard: Yard) -> None:
    await yard.apply(plan("quay", rate=60))
    yard.holding.add(tap("quay"))
    await yard.until(lambda: yard.superseded[tap("quay")] >= 10)
    yard.give_back(tap("quay"))
    await yard.frames(tap("quay"), 5)
    assert yard.unaccounted == []


async def test_moments_that_a_busy_worker_left_out_are_due_and_superseded(yard: Yard) -> None:
    """The clock says how many frames were due; drawing so large a picture sixty times a second is too much."""
    await yard.apply(plan("quay", "synthetic://harbour?seed=1&width=2560&height=1440", rate=60))
    frames = await yard.frames(tap("quay"), 6)
    due = round((frames[-1].captured - frames[0].captured) * 60)
    assert due > len(frames)
    assert frames[-1].seq - frames[0].seq == due
    assert yard.superseded[tap("quay")] >= due + 1 - len(frames)


async def test_frames_under_way_when_their_memory_is_taken_away_are_counted(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    (group,) = yard.captures._groups.values()
    (feed,) = yard.captures._feeds.values()
    await yard.apply(plan("gate"))
    before, seen = yard.superseded[tap("quay")], len(yard.seen[tap("quay")])
    last = yard.seen[tap("quay")][-1]
    group.on_message(group, FrameReady(feed.number, 99, last.slot, 0.0, 0, last.geometry, "clock", 0.0, 0.0))
    group.on_message(group, Superseded(feed.number, 102, 3))
    assert yard.superseded[tap("quay")] == before + 4
    assert len(yard.seen[tap("quay")]) == seen


async def test_a_slot_is_not_written_while_it_is_held(yard: Yard) -> None:
    await yard.apply(plan("quay", rate=60))
    yard.holding.add(tap("quay"))
    held = await yard.frames(tap("quay"), 4)
    fd, slots = yard.captures.slots_fd(tap("quay"))
    before = os.pread(fd, os.fstat(fd).st_size, 0)
    await yard.until(lambda: yard.superseded[tap("quay")] >= 5)
    assert os.pread(fd, os.fstat(fd).st_size, 0) == before
    assert len({frame.slot for frame in held}) == slots


async def test_one_camera_feeds_several_deployments_at_once(yard: Yard) -> None:
    small, large = tap("quay", "small"), tap("quay", "large")
    await yard.apply(plan("quay"), taps={small: ModelInput(32, 32), large: ModelInput(96, 128, "stretch")})
    first = (await yard.frames(small, 3))[-1]
    await yard.until(lambda: len(yard.seen[large]) >= 3)
    twin = next(frame for frame in yard.seen[large] if frame.captured == first.captured)
    assert twin.geometry != first.geometry


async def test_a_tap_is_lowered_and_raised_live_and_stays_lowered_when_its_worker_dies(yard: Yard) -> None:
    lowered, other = tap("quay", "lowered"), tap("quay", "other")
    await yard.apply(plan("quay", rate=20), taps={lowered: ModelInput(32, 32), other: ModelInput(32, 32)})

    async def closest() -> dict[Tap, float]:
        """Seconds between two frames, where there were fewest."""
        since = {each: len(yard.seen[each]) for each in (lowered, other)}
        await yard.frames(lowered, 5)
        later = {each: [frame.captured for frame in yard.seen[each][start:]] for each, start in since.items()}
        return {each: min(np.diff(captured)) for each, captured in later.items()}

    yard.captures.pace(lowered, 4.0)
    await yard.frames(lowered, 3)
    found = await closest()
    assert found[lowered] > 0.15 > found[other]
    assert yard.captures.stats()[CameraName("quay")].lowered_rate == 0.0, "for another still takes all of its frames"
    yard.captures.pace(other, 8.0)
    assert yard.captures.stats()[CameraName("quay")].lowered_rate == 8.0
    os.kill(yard.captures.worker_pids[0], signal.SIGKILL)
    await yard.frames(lowered, 2)
    assert (await closest())[lowered] > 0.15
    yard.captures.pace(lowered, math.inf)
    await yard.frames(lowered, 3)
    assert (await closest())[lowered] < 0.15


async def test_changing_one_camera_leaves_its_neighbours_uninterrupted(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"))
    await yard.frames(tap("gate"), 3)
    pids = yard.captures.worker_pids
    for change in (plan("quay", rate=5), plan("quay", LARGE, 5), plan("quay", LARGE, 20)):
        await yard.apply(change, plan("gate"))
        await yard.frames(tap("gate"), 3)
        await yard.frames(tap("quay"), 2)
    await yard.apply(plan("gate"))
    await yard.frames(tap("gate"), 3)
    assert yard.captures.worker_pids == pids
    steps = np.diff([frame.captured for frame in yard.seen[tap("gate")]])
    assert steps.max() < 1.0
    assert {stats.state for stats in yard.health["gate"]} <= {CameraState.STARTING, CameraState.RUNNING}


async def test_applying_the_same_again_touches_nothing(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    said = len(yard.health["quay"])
    fd = yard.captures.slots_fd(tap("quay"))
    for _ in range(3):
        await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    assert len(yard.health["quay"]) == said
    assert yard.captures.slots_fd(tap("quay")) == fd


async def test_a_removed_camera_is_gone_and_its_last_slots_come_back_quietly(yard: Yard) -> None:
    await yard.apply(plan("quay"), plan("gate"))
    yard.holding.add(tap("quay"))
    await yard.frames(tap("quay"), 2)
    await yard.apply(plan("gate"))
    assert yard.health["quay"][-1].state is CameraState.REMOVED
    assert "quay" not in yard.captures.stats()
    with pytest.raises(Retryable):
        yard.captures.slots_fd(tap("quay"))
    yard.give_back(tap("quay"))
    await yard.frames(tap("gate"), 2)


async def test_the_last_camera_gone_ends_the_worker(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 1)
    (pid,) = yard.captures.worker_pids
    await yard.apply()
    assert yard.captures.worker_pids == []
    assert not runs(pid)


async def test_a_bad_spec_is_refused_and_the_last_good_one_keeps_running(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    for bad in (plan("quay", "rtsp://"), plan("quay", rate=900.0)):
        await yard.apply(bad)
        await yard.frames(tap("quay"), 2)
        stats = yard.captures.stats()[bad.name]
        assert stats.state is CameraState.RUNNING
        assert stats.refused
    await yard.apply(plan("quay"))
    assert yard.captures.stats()[bad.name].refused == ""


async def test_a_camera_refused_from_the_start_is_visible_with_its_reason(yard: Yard) -> None:
    await yard.apply(plan("quay", "ftp://somewhere"), plan("gate"))
    await yard.frames(tap("gate"), 1)
    stats = yard.captures.stats()[plan("quay").name]
    assert "start with" in stats.reason
    assert stats.state is not CameraState.RUNNING
    assert yard.health["quay"][-1] == stats


async def test_a_new_model_input_gets_new_memory_and_no_slot_still_read_is_written(yard: Yard) -> None:
    await yard.apply(plan("quay"), taps={tap("quay"): ModelInput(64, 64)})
    yard.holding.add(tap("quay"))
    old = await yard.frames(tap("quay"), 2)
    await yard.apply(plan("quay"), taps={tap("quay"): ModelInput(96, 96)})
    new = await yard.frames(tap("quay"), 2)
    assert {frame.slot for frame in old}.isdisjoint({frame.slot for frame in new})
    assert new[0].geometry.scale_x == 96 / 160
    assert new[0].seq > old[-1].seq
    yard.give_back(tap("quay"))
    slots = {frame.slot for frame in await yard.frames(tap("quay"), 12)}
    assert slots


async def test_a_paused_box_takes_no_frame_and_goes_on_when_told(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    await yard.frames(tap("quay"), 2)
    await yard.captures.pause(True)
    await yard.until(lambda: yard.state("quay") is CameraState.PAUSED)
    seen = len(yard.seen[tap("quay")])
    await yard.apply(plan("quay"))
    assert len(yard.seen[tap("quay")]) == seen
    await yard.captures.pause(False)
    await yard.frames(tap("quay"), 2)


async def test_more_than_eight_cameras_share_few_workers(yard: Yard) -> None:
    names = [f"cam-{index}" for index in range(10)]
    await yard.apply(*(plan(name, rate=5) for name in names))
    await yard.until(lambda: all(yard.seen[tap(name)] for name in names))
    assert len(yard.captures.worker_pids) == 2
    hosts = list(yard.captures.hosts().values())
    assert max(hosts.count(pid) for pid in hosts) == 8


async def test_a_held_frame_is_encoded_within_its_bounds(yard: Yard) -> None:
    await yard.apply(plan("quay", LARGE))
    yard.holding.add(tap("quay"))
    (frame, *_) = await yard.frames(tap("quay"), 1)
    large = await yard.captures.encode(tap("quay"), frame.slot, View(640, 95))
    small = await yard.captures.encode(tap("quay"), frame.slot, View(320, 50))
    assert decoded(large).shape == (360, 640, 3)
    assert decoded(small).shape == (180, 320, 3)
    assert len(small) < len(large) <= MAX_JPEG


async def test_a_frame_given_back_cannot_be_encoded(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    (frame,) = await yard.frames(tap("quay"), 1)
    with pytest.raises(Retryable):
        await yard.captures.encode(tap("quay"), frame.slot, View(640, 80))


async def test_a_region_of_a_held_frame_is_that_part_of_its_picture(yard: Yard) -> None:
    await yard.apply(plan("quay", LARGE))
    yard.holding.add(tap("quay"))
    (frame, *_) = await yard.frames(tap("quay"), 1)
    whole = decoded(await yard.captures.encode(tap("quay"), frame.slot, View(640, 95)))
    part = decoded(await yard.captures.encode(tap("quay"), frame.slot, View(640, 95, Region(0.25, 0.5, 0.5, 1.5))))
    assert part.shape == (180, 160, 3)
    assert np.abs(part.astype(int) - whole[180:, 160:320]).mean() < 4


async def test_a_region_of_nothing_costs_its_caller_alone(yard: Yard) -> None:
    await yard.apply(plan("quay"))
    yard.holding.add(tap("quay"))
    (frame, *_) = await yard.frames(tap("quay"), 1)
    (worker,) = yard.captures.worker_pids
    for absurd in (Region(0.5, 0.5, 0.5, 0.5), Region(2.0, 2.0, 3.0, 3.0), Region(float("nan"), 0, 1, 1)):
        with pytest.raises(Retryable, match="region"):
            await yard.captures.encode(tap("quay"), frame.slot, View(640, 80, absurd))
        with pytest.raises(Retryable, match="region"):
            await yard.captures.snapshot(plan("quay").name, View(640, 80, absurd))
    assert await yard.captures.encode(tap("quay"), frame.slot, View(-5, 1000, Region(-9, -9, 9, 9)))
    assert yard.captures.worker_pids == [worker]


async def test_nothing_behind_a_mask_leaves_the_worker_from_the_moment_it_is_told(yard: Yard) -> None:
    """A frame that was kept from before included."""
    await yard.apply(plan("quay", LARGE))
    yard.holding.add(tap("quay"))
    (frame, *_) = await yard.frames(tap("quay"), 1)
    before = decoded(await yard.captures.encode(tap("quay"), frame.slot, View(640, 95)))
    half = Zone("half", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    await yard.apply(replace(plan("quay", LARGE), masks=(half,)))
    name, left = plan("quay").name, Region(0.0, 0.0, 0.45, 1.0)
    kept = decoded(await yard.captures.encode(tap("quay"), frame.slot, View(640, 95)))
    assert np.abs(kept[:, 330:].astype(int) - before[:, 330:]).mean() < 1
    assert np.ptp(kept[:, :312]) <= 2
    assert np.ptp(decoded(await yard.captures.encode(tap("quay"), frame.slot, View(640, 95, left)))) <= 2
    assert np.ptp(decoded((await yard.captures.snapshot(name, View(640, 95, left)))[0])) <= 2
    shown = decoded(await yard.captures.preview(name, captured_unix_ns=frame.captured_unix_ns))
    inside = slice(40, 350), slice(8, 300)  # without its outline and its name
    assert before[inside].max() > 200 > 150 > shown[inside].max()


async def test_a_snapshot_is_the_newest_picture_as_it_is(yard: Yard) -> None:
    await yard.apply(plan("quay", LARGE))
    await yard.frames(tap("quay"), 1)
    name = plan("quay").name
    snapping = yard.captures.snapshot(name, View(4000, 90))
    (jpeg, captured_ns), preview = await asyncio.gather(snapping, yard.captures.preview(name, (), "a caption"))
    snapshot, shown = decoded(jpeg), decoded(preview)
    assert 0 <= time.time() - captured_ns / 1e9 < 10
    assert snapshot.shape == shown.shape == (360, 640, 3), "neither takes the other's place"
    assert shown[-20:].mean() < snapshot[-20:].mean()
    part, _ = await yard.captures.snapshot(name, View(320, 50, Region(0, 0, 0.5, 0.5)))
    assert decoded(part).shape == (180, 320, 3)


async def test_a_preview_shows_boxes_and_caption_on_its_own_picture(yard: Yard) -> None:
    await yard.apply(plan("quay", LARGE))
    (frame,) = await yard.frames(tap("quay"), 1)
    plain = decoded(await yard.captures.preview(plan("quay").name, captured_unix_ns=frame.captured_unix_ns))
    box = Box(0.25, 0.25, 0.75, 0.75, 0.9, "boat")
    drawn = decoded(await yard.captures.preview(plan("quay").name, [box], "ok_local  12 ms  local"))
    assert plain.shape == drawn.shape == (360, 640, 3)
    edge = drawn[100:260, 159:162].reshape(-1, 3).mean(axis=0)
    assert np.abs(edge - (255, 196, 64)).max() < 60  # BGR of a boat
    assert drawn[-20:].mean() < plain[-20:].mean()


async def test_only_the_newest_preview_wish_of_a_camera_is_drawn(yard: Yard) -> None:
    await yard.apply(plan("quay", LARGE))
    await yard.frames(tap("quay"), 1)
    wishes = [asyncio.create_task(yard.captures.preview(plan("quay").name)) for _ in range(20)]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    assert isinstance(results[-1], bytes)
    assert any(isinstance(result, Retryable) for result in results)


async def test_a_camera_without_a_tap_can_still_be_looked_at(yard: Yard) -> None:
    await yard.apply(plan("quay"), taps={})
    await yard.until(lambda: yard.state("quay") is CameraState.RUNNING)
    assert decoded(await yard.captures.preview(plan("quay").name)).shape == (96, 160, 3)


async def test_nobody_has_a_picture_of_an_unknown_camera(yard: Yard) -> None:
    with pytest.raises(Retryable):
        await yard.captures.preview(plan("nowhere").name)


async def test_a_file_that_is_no_video_is_retried_and_costs_its_neighbour_nothing(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a video")
    await yard.apply(plan("quay", f"file://{tmp_path}/a.mp4"), plan("gate"))
    await yard.until(lambda: yard.state("quay") is CameraState.RETRYING)
    assert yard.health["quay"][-1].reason.startswith("unsupported codec")
    await yard.frames(tap("gate"), 3)
    assert yard.state("gate") is CameraState.RUNNING


async def test_stats_tell_rate_size_and_cost(yard: Yard) -> None:
    await yard.apply(plan("quay", rate=20))
    await yard.until(lambda: len(yard.seen[tap("quay")]) > 40)
    await yard.frames(tap("quay"), 20)
    stats = yard.captures.stats()[plan("quay").name]
    assert (stats.width, stats.height) == (160, 96)
    assert 5 < stats.frames_per_second < 40
    assert stats.cpu_seconds > 0
    assert stats.last_frame_unix_ns > 0


async def test_credentials_are_in_no_log_reason_or_repr(
    yard: Yard, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t-word"
    good = f"rtsp://admin:{secret}@127.0.0.1:9/stream?password={secret}"
    await yard.apply(plan("quay", good), plan("gate", f"rtsp://admin:{secret}@host:port/"))
    await yard.until(lambda: yard.state("quay") is CameraState.RETRYING)
    said = [repr(yard.captures.stats()), repr(yard.health), repr(SetCamera("quay", good, 10.0)), caplog.text]
    said += [*capfd.readouterr()]
    assert not any(secret in text for text in said)
    assert yard.health["quay"][-1].reason.startswith("refused")


async def test_closing_leaves_no_process_and_no_descriptor(yard: Yard) -> None:
    before = open_descriptors()
    await yard.apply(plan("quay"), plan("gate", SMALL))
    await yard.frames(tap("gate"), 2)
    pids = yard.captures.worker_pids
    await yard.captures.close()
    await yard.captures.close()
    assert not any(runs(pid) for pid in pids)
    assert open_descriptors() <= before
