"""Pictures and log lines of whoever is looked at."""

from __future__ import annotations

import asyncio
import threading

import pytest

from controlplane.fleet.accounts import FrameAccounts, FrameWish
from controlplane.fleet.looking import MAX_LOG_LINES, MOST_WISHES, LogLine, Looking, Picture, Snapshot, SnapshotWish
from protos.errors import Retryable
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


def answering(looking: Looking, answer: Snapshot) -> None:
    """As a box would: once it has heard of the wish. `answer.wish` is filled in."""
    for _ in range(1000):
        for wish in looking.wishes({GATE}):
            looking.put_snapshot(Snapshot(wish.number, answer.camera, answer.captured_unix_ms, answer.jpeg))
            return
        threading.Event().wait(0.001)


def test_whoever_waits_for_a_snapshot_gets_the_one_that_was_asked_for() -> None:
    looking = Looking()
    box = threading.Thread(target=answering, args=(looking, Snapshot(0, GATE, 5, b"gate")))
    box.start()
    found = looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 5.0)
    box.join()
    assert found is not None
    assert (found.jpeg, found.captured_unix_ms) == (b"gate", 5)
    assert looking.wishes({GATE}) == [], "nobody waits any more"
    assert looking.picture(GATE) is None, "it is no live picture"


def test_few_wait_for_snapshots_of_one_camera_at_a_time() -> None:
    looking = Looking()
    waiting = [
        threading.Thread(target=looking.wait_snapshot, args=(SnapshotWish(GATE, 640, 80), 60.0))
        for _ in range(MOST_WISHES)
    ]
    for each in waiting:
        each.start()
    while len(looking.wishes({GATE})) < MOST_WISHES:
        threading.Event().wait(0.001)
    with pytest.raises(Retryable, match="4 others wait for snapshots of gate") as refused:
        looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 60.0)
    assert refused.value.after_seconds == 2.0
    assert looking.wait_snapshot(SnapshotWish(BERTH, 640, 80), 0.0) is None, "another camera is another matter"
    for wish in looking.wishes({GATE}):
        looking.put_snapshot(Snapshot(wish.number, GATE, 5, b"gate"))
    for each in waiting:
        each.join()
    assert looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 0.0) is None, "their turn is over"


def test_a_snapshot_of_another_camera_answers_no_wish() -> None:
    looking = Looking()
    box = threading.Thread(target=answering, args=(looking, Snapshot(0, BERTH, 5, b"berth")))
    box.start()
    assert looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 0.05) is None
    box.join()
    assert looking.wishes({GATE}) == []


def test_a_snapshot_that_nobody_waits_for_is_forgotten() -> None:
    looking = Looking()
    looking.put_snapshot(Snapshot(1, GATE, 5, b"late"))
    assert looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 0.0) is None


def test_a_frame_is_asked_about_beside_snapshots_and_neither_answers_for_the_other() -> None:
    looking = Looking()
    asked = FrameWish(GATE, 17, "watch")

    def answer() -> None:
        while not (wishes := looking.frame_wishes({GATE})):
            threading.Event().wait(0.001)
        assert not looking.wishes({GATE})
        assert not looking.frame_wishes({BERTH})
        (wish,) = wishes
        assert (wish.seq, wish.deployment) == (17, "watch")
        looking.put_snapshot(Snapshot(wish.number, GATE, 1, b"jpeg"))
        looking.put_accounts(FrameAccounts(wish.number, BERTH, failure="of another camera"))
        looking.put_accounts(FrameAccounts(wish.number, GATE, failure="not known"))

    box = threading.Thread(target=answer, daemon=True)
    box.start()
    found = looking.wait_accounts(asked, 5.0)
    box.join()
    assert found is not None
    assert found.failure == "not known"
    assert looking.frame_wishes({GATE}) == []


def test_who_would_ask_too_much_about_frames_is_told() -> None:
    looking = Looking()
    waiting = [
        threading.Thread(target=looking.wait_accounts, args=(FrameWish(GATE), 60.0), daemon=True)
        for _ in range(MOST_WISHES)
    ]
    for each in waiting:
        each.start()
    while len(looking.frame_wishes({GATE})) < MOST_WISHES:
        threading.Event().wait(0.001)
    with pytest.raises(Retryable, match="ask about frames of gate"):
        looking.wait_accounts(FrameWish(GATE), 60.0)
    assert looking.wait_snapshot(SnapshotWish(GATE, 640, 80), 0.0) is None, "snapshots are another matter"
    for wish in looking.frame_wishes({GATE}):
        looking.put_accounts(FrameAccounts(wish.number, GATE))
    for each in waiting:
        each.join()
