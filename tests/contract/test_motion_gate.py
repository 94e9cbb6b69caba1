"""The motion gate in real capture workers: on a clip, and on a drawn harbour in which everything moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from agent.cameras.gate import SETTLED_SECONDS
from agent.types import Zone
from protos.ids import CameraName
from tests.sim.yard import Plan, Yard, opened_yard, tap

QUAY = tap("quay")
RATE = 20
QUIET, BUSY = 3.0, 1.0  # seconds of the clip: nothing moves, then something does
LEFT_HALF = (Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))),)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A yard in which, at its end, a cart crosses the left half."""
    path = tmp_path_factory.mktemp("gate") / "yard.mp4"
    ground = np.random.default_rng(1).integers(80, 140, (12, 20, 3)).astype(np.uint8).repeat(15, 0).repeat(16, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for number in range(round((QUIET + BUSY) * RATE)):
            picture, x = ground.copy(), round((number / RATE - QUIET) * 100)
            if x >= 0:
                picture[100:130, x : x + 40] = 20
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with opened_yard() as yard:
        yield yard


def quay(source: str, every: float = 30.0, masks: tuple[Zone, ...] = ()) -> Plan:
    return Plan(CameraName("quay"), source, RATE, every, masks)


def moments(yard: Yard, start: float) -> list[float]:
    """Of the clip, in which frames were looked at after the first turn has begun."""
    turn = QUIET + BUSY
    return sorted((frame.captured - start) % turn for frame in yard.seen[QUAY] if frame.captured >= start + turn)


async def turns(yard: Yard, count: float) -> float:
    """Until the clip was played so often; when it began."""
    await yard.until(lambda: bool(yard.seen[QUAY]))
    start = yard.seen[QUAY][0].captured
    ended = start + count * (QUIET + BUSY)

    def last() -> float:
        return max(frame.captured for frames in (yard.seen[QUAY], yard.still[QUAY]) for frame in frames[-1:])

    await yard.until(lambda: last() >= ended)
    return start


async def test_frames_in_which_nothing_moves_take_no_slot_and_every_moment_of_motion_is_looked_at(
    yard: Yard, clip: Path
) -> None:
    await yard.apply(quay(f"file://{clip}"))
    start = await turns(yard, 2)
    looked_at = moments(yard, start)
    assert sum(moment > QUIET + 0.1 for moment in looked_at) >= 0.8 * (BUSY - 0.1) * RATE
    assert len(yard.still[QUAY]) >= 0.5 * (QUIET - SETTLED_SECONDS) * RATE
    numbers = sorted([frame.seq for frame in yard.seen[QUAY]] + [frame.seq for frame in yard.still[QUAY]])
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] == len(numbers) + yard.superseded[QUAY]  # every due frame has ended once


async def test_it_is_looked_at_again_after_its_time_and_whenever_the_agent_asks(yard: Yard, clip: Path) -> None:
    await yard.apply(quay(f"file://{clip}", every=0.3, masks=LEFT_HALF))
    start = await turns(yard, 1.5)
    late = [frame.captured for frame in yard.seen[QUAY] if frame.captured >= start + SETTLED_SECONDS + 0.5]
    assert np.diff(late) == pytest.approx(0.3, abs=0.11)  # by its time alone: what moves is masked
    heard, now = len(yard.still[QUAY]), yard.seen[QUAY][-1].captured
    yard.captures.look(CameraName("quay"), now + 1.0)
    await yard.until(lambda: yard.seen[QUAY][-1].captured >= now + 0.8)
    assert len(yard.still[QUAY]) - heard <= 5  # those under way when it was asked


async def test_switching_the_gate_restarts_no_stream(yard: Yard, clip: Path) -> None:
    await yard.apply(quay(f"file://{clip}"))
    await yard.until(lambda: len(yard.still[QUAY]) >= 2)
    await yard.apply(quay(f"file://{clip}", every=0.0))
    heard = len(yard.still[QUAY])
    await yard.frames(QUAY, RATE)
    assert len(yard.still[QUAY]) - heard <= 2
    assert yard.captures.stats()[CameraName("quay")].restarts == 0
