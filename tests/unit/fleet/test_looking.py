"""Pictures and log lines of whoever is looked at."""

from __future__ import annotations

import asyncio
import threading

from controlplane.fleet.looking import MAX_LOG_LINES, LogLine, Looking, Picture
from protos.ids import CameraName, NodeId

GATE, BERTH, QUAY = CameraName("gate"), CameraName("berth"), NodeId("quay-1")


def picture(camera: CameraName = GATE, content: bytes = b"1") -> Picture:
    return Picture(camera, 1, content)


def line(text: str) -> LogLine:
    return LogLine(1, "INFO", "agent", text)


def test_the_newest_picture_wins() -> None:
    looking = Looking()
    looking.put_picture(picture(content=b"old"))
    looking.put_picture(picture(content=b"new"))
    newest = looking.picture(GATE)
    assert newest is not None
    assert newest.jpeg == b"new"
    assert looking.picture(GATE, after=newest.number) is None


def test_cameras_are_kept_apart_and_forgotten_one_by_one() -> None:
    looking = Looking()
    looking.put_picture(picture(GATE, b"gate"))
    looking.put_picture(picture(BERTH, b"berth"))
    looking.forget_camera(GATE)
    assert looking.picture(GATE) is None
    assert looking.picture(BERTH) is not None


def test_only_the_newest_log_lines_are_kept() -> None:
    looking = Looking()
    for number in range(MAX_LOG_LINES + 10):
        looking.put_line(QUAY, line(str(number)))
    lines = looking.lines(QUAY)
    assert len(lines) == MAX_LOG_LINES
    assert lines[0].message == "10"
    assert [item.message for item in looking.lines(QUAY, after=lines[-2].number)] == [str(MAX_LOG_LINES + 9)]
    looking.forget_node(QUAY)
    assert looking.lines(QUAY) == []


def test_a_thread_that_waits_gets_the_picture_that_comes() -> None:
    looking = Looking()
    threading.Timer(0.01, looking.put_picture, [picture()]).start()
    found = looking.wait_picture(GATE, 0, 5.0)
    assert found is not None


def test_a_thread_that_waits_for_nothing_gets_nothing() -> None:
    looking = Looking()
    looking.put_picture(picture(BERTH))
    assert looking.wait_picture(GATE, 0, 0.0) is None
    assert looking.wait_lines(QUAY, 0, 0.0) == []


async def test_an_event_loop_is_woken_by_anything_new() -> None:
    looking = Looking()
    waiting = asyncio.create_task(looking.changed(5.0))
    await asyncio.sleep(0)
    looking.put_line(QUAY, line("hello"))
    assert await waiting is True


async def test_an_event_loop_is_told_that_nothing_came() -> None:
    assert await Looking().changed(0.001) is False
