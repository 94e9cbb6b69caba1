"""The decision log on disk: a share of decisions, bounded, and never in a frame's way."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
from pathlib import Path

import pytest

from agent.adapters.decision_log import MOST_WAITING, NEWEST, OLDER, WRITE_SECONDS, DecisionLog
from agent.offload.decisions import Decision, read
from tests.sim.clock import FakeClock
from tests.sim.decisions import decided
from tests.sim.waiting import until


def new(folder: Path, share: float = 1.0, most_bytes: int = 1 << 20) -> DecisionLog:
    return DecisionLog(folder / "decisions", share, most_bytes, random.Random(7))


def lines(folder: Path, *names: str) -> tuple[list[Decision], int]:
    files = [folder / "decisions" / name for name in names or (NEWEST,)]
    return read(line for file in files for line in file.read_bytes().splitlines())


async def test_a_share_is_kept_by_chance_alone(tmp_path: Path) -> None:
    log = new(tmp_path, share=0.25)
    for seq in range(2000):
        log.offer(decided(seq))
    await log.flush()
    found, _ = lines(tmp_path)
    assert 430 < len(found) < 570
    assert log.kept == len(found)
    assert {each.sampled for each in found} == {0.25}


async def test_nothing_is_written_where_none_is_to_be_kept(tmp_path: Path) -> None:
    for log in (new(tmp_path, share=0.0), new(tmp_path, most_bytes=0)):
        log.offer(decided())
        await log.flush()
    assert not (tmp_path / "decisions").exists()


async def test_lines_are_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    log, clock = new(tmp_path), FakeClock()
    running = asyncio.create_task(log.run(clock))
    log.offer(decided(1))
    assert not (tmp_path / "decisions").exists(), "a frame only leaves it in memory"
    await clock.advance(WRITE_SECONDS + 1)
    await until(lambda: log.kept == 1)
    running.cancel()
    log.offer(decided(2))
    await log.flush()
    assert [each.seq for each in lines(tmp_path)[0]] == [1, 2]


async def test_it_takes_no_more_than_its_bytes_and_the_oldest_go(tmp_path: Path) -> None:
    log = new(tmp_path, most_bytes=20_000)
    for seq in range(200):
        log.offer(decided(seq))
        if seq % 7 == 0:
            await log.flush()
    await log.flush()
    found, torn = lines(tmp_path, OLDER, NEWEST)
    assert sum(file.stat().st_size for file in (tmp_path / "decisions").iterdir()) <= 20_000
    assert torn == 0
    assert [each.seq for each in found] == list(range(200 - len(found), 200))
    assert len(found) > 15
    assert (log.kept, log.lost) == (200, 0)


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.offer(decided())
    await log.flush()
    assert (tmp_path / "decisions" / NEWEST).stat().st_mode & 0o077 == 0
    assert (tmp_path / "decisions").stat().st_mode & 0o077 == 0


async def test_after_half_a_line_the_next_one_stands_for_itself(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.offer(decided(1))
    await log.flush()
    with (tmp_path / "decisions" / NEWEST).open("ab") as out:
        out.write(b'{"deployment":"harb')  # a power cut
    log.offer(decided(2))
    await log.flush()
    found, torn = lines(tmp_path)
    assert ([each.seq for each in found], torn) == ([1, 2], 1)


class FullDisk:
    """Takes `room` bytes more, then says that there is no space."""

    def __init__(self) -> None:
        self.room = 0

    def write(self, descriptor: int, content: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.write(descriptor, content[: self.room])
        self.room -= count
        return count


async def test_a_full_disk_costs_lines_that_are_counted_and_said_once_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    disk = FullDisk()
    log = DecisionLog(tmp_path / "decisions", 1.0, 1 << 20, write=disk.write)
    for seq in range(6):
        log.offer(decided(seq))
        disk.room = 300 if seq == 3 else 0  # for half a line
        await log.flush()
    assert (log.kept, log.lost) == (0, 6)
    assert len([each for each in caplog.records if "decision log" in each.message]) == 1
    disk.room = 1 << 20
    log.offer(decided(6))
    await log.flush()
    found, torn = lines(tmp_path)
    assert ([each.seq for each in found], torn) == ([6], 0), "the half line was taken back"


async def test_a_place_that_is_no_folder_costs_lines_only(tmp_path: Path) -> None:
    (tmp_path / "decisions").write_text("somebody's file")
    log = new(tmp_path)
    log.offer(decided())
    await log.flush()
    assert (log.kept, log.lost) == (0, 1)


async def test_what_waits_for_a_disk_that_hangs_has_an_end(tmp_path: Path) -> None:
    log = new(tmp_path)
    for seq in range(MOST_WAITING + 50):
        log.offer(decided(seq))
    assert log.lost == 50
    await log.flush()
    assert log.kept == MOST_WAITING
