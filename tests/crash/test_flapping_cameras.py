"""Cameras that are dead, or come and go, for as long as a box runs: memory stays where it was.

In CI some seconds of them; with LONGSHORE_SOAK=1 thirty times as many.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cameras.source import Reason, SourceLost
from agent.cameras.source_av import RtspSource
from agent.cameras.spec import Rtsp
from tests.servers.ports import free_port
from tests.servers.rtsp import RtspServer
from tests.sim import rtsp_door
from tests.sim.clips import write_clip

PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
GROWTH_MIB = 4.0  # allocators keep what they once had
TIMES = 30 if os.environ.get("LONGSHORE_SOAK") == "1" else 1
pytestmark = pytest.mark.timeout(600 if TIMES > 1 else 120)


def resident() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB


def grown(visit: Callable[[], None], count: int) -> float:
    """MiB by which this process is larger after so many visits more than it takes to get warm."""
    for _ in range(count // 2):
        visit()
    before = resident()
    for _ in range(count):
        visit()
    return resident() - before


def tried(url: str, reason: Reason) -> None:
    source = RtspSource(Rtsp(url))
    with pytest.raises(SourceLost) as caught:
        source.open()
    source.close()
    assert caught.value.reason is reason


def test_a_dead_camera_costs_no_memory() -> None:
    url = f"rtsp://127.0.0.1:{free_port()}/live"
    assert grown(lambda: tried(url, Reason.REFUSED), 200 * TIMES) < GROWTH_MIB


def test_a_camera_that_takes_nobody_in_costs_no_memory() -> None:
    with rtsp_door.opened() as door:
        url = f"rtsp://viewer:wrong@127.0.0.1:{door.port}/live"
        assert grown(lambda: tried(url, Reason.AUTH_FAILED), 50 * TIMES) < GROWTH_MIB


@pytest.mark.rtsp
def test_a_camera_that_comes_and_goes_costs_no_memory(
    rtsp_factory: Callable[[Path], RtspServer], tmp_path: Path
) -> None:
    source = RtspSource(Rtsp(rtsp_factory(write_clip(tmp_path / "clip.mp4", size=(640, 480))).url))

    def flap() -> None:
        source.open()
        source.read()
        source.close()

    assert grown(flap, 20 * TIMES) < GROWTH_MIB
