"""A box's clock that jumps by a day, back and forth, while it runs and between two starts: nothing is lost by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bench.telemetry.stage import Box, Stage, staged
from controlplane.tables import Detection

DAY = 86_400
RATE = 200.0  # records a second
JUMPS = (DAY, -DAY, 0)
OFF_MS = 10_000  # from being told to being stored, on a machine that has much to do


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, "embedded", postgres=False, rate=RATE) as made:
        yield made


def jump(stage: Stage, box: Box, seconds: int) -> None:
    """While nothing waits: what was told before is by the clock that was right then."""
    box.fall_silent()
    stage.until("an empty outbox", lambda: box.at_rest)
    (box.folder / "wrong").write_text(str(seconds))
    box.speak()
    stage.pause(0.7)


def test_a_clock_that_jumps_costs_no_record_and_times_are_right(stage: Stage) -> None:
    box = stage.box("quay")
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    for seconds in JUMPS:
        jump(stage, box, seconds)
    for seconds in JUMPS:
        jump(stage, box, seconds)
        box.process.kill()  # what waits now goes out after the next start, whose clock is wrong by as much
        box.process.start()
        stage.until("a box that runs", lambda: box.said["pid"] == box.pid)
        stage.pause(0.3)
    stage.silence()
    (history,) = stage.histories()
    assert history.complaints() == []
    assert history.counts()["dropped"] == 0
    assert all(0 <= came - at < OFF_MS for at, came in moments(stage))


def test_what_waits_while_the_clock_jumps_is_not_taken_for_old(stage: Stage) -> None:
    box = stage.box("quay")
    stage.start()
    stage.until("a record", lambda: not stage.bare)
    stage.broker.kill()
    for seconds in (40 * DAY, -40 * DAY, 0):
        stage.pause(0.5)
        (box.folder / "wrong").write_text(str(seconds))
    stage.broker.start()
    stage.silence()
    (history,) = stage.histories()
    assert history.complaints() == []
    assert history.counts()["dropped"] == 0
    assert all(at <= came for at, came in moments(stage))


def moments(stage: Stage) -> list[tuple[int, int]]:
    """Of each frame: when it happened, by the control plane's reckoning, and when it was stored."""
    with stage.database.read() as session:
        rows = session.execute(select(Detection.at_ms, Detection.stored_ms)).all()
    assert all(came <= time.time() * 1000 for _, came in rows)
    return [(at, came) for at, came in rows]
