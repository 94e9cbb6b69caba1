"""Hostile streams through a real capture worker in its sandbox: it reports or dies, and the next source works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from agent.types import CameraState
from tests.sim.clips import malformed, write_clip
from tests.sim.yard import Yard, opened_yard, plan, tap

SEEDS = range(12)  # of each container
KINDS = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "avi": "mjpeg", "jpeg": "mjpeg"}
SETTLED = (CameraState.RUNNING, CameraState.RETRYING, CameraState.STALLED)


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with opened_yard() as yard:
        yield yard


def sound(folder: Path, kind: str) -> bytes:
    if kind == "jpeg":
        pixels = np.random.default_rng(1).integers(0, 255, (96, 160, 3), np.uint8)
        return cv2.imencode(".jpg", pixels)[1].tobytes() * 5
    path = folder / f"sound.{kind}"
    if kind == "avi":
        return _motion_jpeg(path)
    return write_clip(path, codec=KINDS[kind]).read_bytes()


def _motion_jpeg(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for index in range(6):
            picture = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 30 * index, np.uint8), format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
async def test_damaged_streams_end_in_a_word_of_their_camera_and_the_next_source_works(
    yard: Yard, tmp_path: Path, kind: str
) -> None:
    whole = sound(tmp_path, kind)
    for seed in SEEDS:
        path = tmp_path / f"{seed}.{'mjpeg' if kind == 'jpeg' else kind}"
        path.write_bytes(malformed(whole, seed))
        await settled(yard, path)
        assert_confined(yard)
    good = write_clip(tmp_path / "good.mp4")
    await yard.apply(plan("quay", f"file://{good}"))
    await yard.until(lambda: yard.captures.stats()[plan("quay").name].width == 200)
    await yard.frames(tap("quay"), 3)


async def settled(yard: Yard, path: Path) -> None:
    """Until its camera says how it is: that it runs, or why not."""
    told = len(yard.health["quay"])
    await yard.apply(plan("quay", f"file://{path}"))
    await yard.until(lambda: any(each.state in SETTLED for each in yard.health["quay"][told:]))


def assert_confined(yard: Yard) -> None:
    """Whoever lives is in a sandbox, and has started nobody."""
    for pid in yard.captures.worker_pids:
        status = Path(f"/proc/{pid}/status")
        children = Path(f"/proc/{pid}/task/{pid}/children")
        if status.exists() and yard.confined:
            assert "NoNewPrivs:\t1" in status.read_text()
            assert children.read_text() == ""
