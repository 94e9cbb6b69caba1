"""An outbox that can't be written: a full disk, failing I/O, a kill meanwhile. What it refused is declared."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters import outbox_sqlite
from agent.adapters.outbox_file import OutboxFile, Work
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry import records
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Taken
from agent.telemetry.ranges import SeqRange
from tests.sim.outboxes import SMALL, drain, failing, fallible, opened, take
from tests.sim.telemetry import Oracle, draft
from tests.sim.waiting import until


async def full_disk_adds_up(outbox: SqliteOutbox, make_room: Callable[[], object]) -> None:
    """Fill until writing fails; then there is room again, and everything is accounted for."""
    oracle, put = Oracle(), 0
    while not outbox.summary().trouble:
        for _ in range(500):
            outbox.put(draft(number=put))
            put += 1
        await outbox.settle()
        assert put < 200_000, "the disk never filled"
    assert "free space" in outbox.summary().trouble
    for _ in range(100):
        outbox.put(draft(number=put))
        put += 1
    make_room()
    await until(lambda: not outbox.summary().trouble)
    outbox.put(draft(number=put))
    await outbox.settle()
    await drain(outbox, oracle)
    frames, gaps = len(oracle.bodies("frame")), len(oracle.bodies("gap"))
    assert frames + oracle.declared()["detection"] == put + 1
    assert outbox.summary().accepted == frames + gaps + oracle.declared().total()


async def test_a_file_at_its_page_limit_counts_what_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds would keep it from coming to this; here they do not apply."""
    monkeypatch.setattr(outbox_sqlite, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr("agent.adapters.outbox_file.BODY_SHARE", 100.0)
    outbox = await opened(tmp_path / "o.db", SMALL)
    taken = await take(outbox, 1, 1)
    assert taken.rows == ()

    def make_room() -> None:
        outbox._file._pages *= 4  # a limit is per connection; the file is opened again after a failure

    await full_disk_adds_up(outbox, make_room)
    await outbox.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False)
    if os.geteuid() != 0 or mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_counts_what_it_refuses_and_recovers(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sqlite, "RETRY_SECONDS", 0.05)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3_000_000))
    outbox = await opened(small_disk / "o.db", 8 << 20)
    try:
        await full_disk_adds_up(outbox, ballast.unlink)
    finally:
        await outbox.close()


async def test_an_outbox_that_cannot_be_opened_counts_and_starts_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sqlite, "RETRY_SECONDS", 0.05)
    (tmp_path / "o.db").mkdir()
    outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
    assert outbox.summary().trouble
    outbox.put(draft())
    await outbox.settle()
    (tmp_path / "o.db").rmdir()
    await until(lambda: not outbox.summary().trouble)
    await drain(outbox, oracle)
    assert oracle.declared() == {"detection": 1}
    await outbox.close()


async def test_a_commit_that_failed_but_is_in_the_file_is_not_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync may fail after the log was written: the file, asked again, tells."""
    monkeypatch.setattr(outbox_sqlite, "RETRY_SECONDS", 0.02)
    outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
    outbox.put(draft(number=1))
    await outbox.settle()
    real: Any = outbox._file._connection

    class Liar:
        """Commits, then says that it failed."""

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            done: sqlite3.Cursor = real.execute(statement, *values)
            if statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return done

        def executemany(self, statement: str, values: Any) -> sqlite3.Cursor:
            many: sqlite3.Cursor = real.executemany(statement, values)
            return many

        def close(self) -> None:
            return None

    outbox._file._connection = Liar()  # type: ignore[assignment]  # only what `apply` uses
    outbox.put(draft(number=2))
    await until(lambda: bool(outbox.summary().trouble))
    await until(lambda: not outbox.summary().trouble)
    await drain(outbox, oracle)
    assert [record.frame.frame_seq for record in oracle.bodies("frame")] == [1, 2]
    assert oracle.declared().total() == 0
    await outbox.close()


@pytest.mark.parametrize(("bound", "room"), [("MAX_QUEUED", 10), ("MAX_QUEUED_BYTES", 10 * len(draft().body))])
async def test_what_comes_while_the_disk_hangs_is_counted_and_declared_once_there_is_no_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, room: int
) -> None:
    monkeypatch.setattr(outbox_sqlite, bound, room)
    outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
    hangs, works, apply = threading.Event(), threading.Event(), OutboxFile.apply

    def hanging(self: OutboxFile, work: Work) -> list[Taken]:
        hangs.set()
        works.wait()
        return apply(self, work)

    monkeypatch.setattr(OutboxFile, "apply", hanging)
    outbox.put(draft())
    await until(hangs.is_set)
    for number in range(2, 30):
        outbox.put(draft(number=number))
    assert outbox.summary().accepted == 0
    works.set()
    await outbox.settle()
    await drain(outbox, oracle)
    assert len(oracle.bodies("frame")) + oracle.declared()["detection"] == 29
    assert 10 <= len(oracle.bodies("frame")) <= 13
    await outbox.close()


async def test_who_waits_for_a_record_is_told_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "o.db").mkdir()
    outbox = await opened(tmp_path / "o.db")
    assert not await outbox.accepted(draft())
    await outbox.close()


async def test_what_comes_while_the_disk_hangs_is_counted_where_there_is_no_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sqlite, "MAX_QUEUED", 5)
    outbox, oracle, hangs = await opened(tmp_path / "o.db"), Oracle(), threading.Event()
    real = outbox._file.apply

    def hanging(work: Work) -> list[Taken]:
        hangs.wait(10)
        return real(work)

    monkeypatch.setattr(outbox._file, "apply", hanging)
    first = asyncio.create_task(outbox.settle())
    await asyncio.sleep(0)
    await until(lambda: not outbox._inbox.settles)
    for number in range(5):
        outbox.put(draft(number=number))
    late = asyncio.create_task(outbox.accepted(draft(RecordClass.ALARM), draft(RecordClass.ALARM)))
    await asyncio.sleep(0)
    hangs.set()
    assert not await late
    await drain(outbox, oracle)
    assert len(oracle.bodies("frame")) == 5
    assert oracle.declared() == {"alarm": 2}
    await first
    await outbox.close()


# ---- I/O errors ----

IO_ERRORS = {
    "EIO": ("disk I/O error", sqlite3.SQLITE_IOERR),
    "ENOSPC": ("database or disk is full", sqlite3.SQLITE_FULL),
    "EROFS": ("attempt to write a readonly database", sqlite3.SQLITE_READONLY),
}
EACH = (RecordClass.DEBUG, RecordClass.METRIC, RecordClass.DETECTION, RecordClass.ALARM)


def io_error(name: str) -> sqlite3.OperationalError:
    message, code = IO_ERRORS[name]
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*IO_ERRORS]),
    st.lists(st.tuples(st.sampled_from(["put", "take", "ack", "fail", "restart"]), st.integers(1, 12)), max_size=25),
    st.booleans(),
)
def test_whatever_fails_and_whenever_accepted_is_stored_and_declared_and_waiting_exactly(
    tmp_path_factory: pytest.TempPathFactory, name: str, actions: list[tuple[str, int]], after: bool
) -> None:
    """The file alone, as the writer uses it: statement `number` of a transaction fails, some after they are done."""
    path = tmp_path_factory.mktemp("fails") / "o.db"
    with pytest.MonkeyPatch.context() as patch:
        fallible(patch)
        history = Fates(path)
        for what, number in actions:
            history.do(what, number, io_error(name), after=after)
        history.recover()
        history.adds_up()


class Fates:
    """What was put in, by class, and a control plane that stores what it gets."""

    def __init__(self, path: Path) -> None:
        self.path, self.put, self.oracle = path, Counter[str](), Oracle()
        self.file = OutboxFile(path, 1 << 20)
        self.air: list[tuple[str, SeqRange]] = []

    def do(self, what: str, number: int, error: sqlite3.Error, *, after: bool) -> None:
        if what == "restart":  # told to end: nothing is forgotten by that
            self.recover()
            self.file.close()
            self.file = OutboxFile(self.path, 1 << 20)
        elif what == "fail":
            with failing(error, number, number + 3, after=after):
                self._work(number)
        else:
            self._work(number, take=what == "take", ack=what == "ack")

    def _work(self, number: int, *, take: bool = False, ack: bool = False) -> None:
        drafts = [draft(EACH[each % 4], each) for each in range(number)]
        self.put.update(each.record_class.word for each in drafts)
        work = Work(drafts)
        if ack:
            work.forgotten, self.air = self.air, []
        if take:
            work.takes = [(lane, number, 1 << 20) for lane in Lane]
        with contextlib.suppress(sqlite3.Error):
            self._store(self.file.apply(work))

    def _store(self, taken: list[Taken]) -> None:
        for each in taken:
            if each.rows:
                self.oracle.take(records.batch(each.epoch, each.rows))
                self.air += [(each.epoch, (row.seq, row.seq)) for row in each.rows]

    def recover(self) -> None:
        self.file.apply(Work(at_once=True))
        self.file.apply(Work(at_once=True))

    def adds_up(self) -> None:
        self.file.close()
        self.file = OutboxFile(self.path, 1 << 20)  # another start sends again what nobody acknowledged
        while (taken := self.file.apply(Work(takes=[(Lane.HISTORICAL, 100, 1 << 20)])))[0].rows:
            self._store(taken)
        arrived = Counter(self.oracle.by_class())
        assert arrived + self.oracle.declared() == self.put
        for epoch, tally in self.file.books.tallies().items():
            assert self.oracle.numbers(epoch) == set(range(1, tally.accepted + 1))
        self.file.close()


# ---- the process dies meanwhile ----

REFUSING = """
import asyncio, os, signal, sys
from pathlib import Path
from agent.adapters import outbox_sqlite
from agent.telemetry.classes import RecordClass
from tests.sim.outboxes import opened
from tests.sim.telemetry import draft

async def main():
    outbox = await opened(Path(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        outbox.put(draft(RecordClass.ALARM if number % 10 == 0 else RecordClass.DETECTION, number))
        if number % 7 == 0:
            await outbox.settle()
    await outbox.settle()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def refuse_and_die(path: Path, count: int) -> None:
    """An agent that is killed while its outbox can't be written, having refused so many records."""
    done = subprocess.run([sys.executable, "-c", REFUSING, str(path), str(count)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


async def declared_at_least(path: Path) -> list[tuple[str, int]]:
    """By Gaps that say that it may be more."""
    outbox, oracle = await opened(path), Oracle()
    await outbox.settle()
    await drain(outbox, oracle)
    gaps = [each.gap for each in oracle.bodies("gap")]
    assert all(gap.lower_bound for gap in gaps)
    assert all("ended before it could say so" in gap.reason for gap in gaps)
    await outbox.close()
    return sorted((gap.record_class, gap.dropped) for gap in gaps)


async def test_what_was_refused_before_a_kill_is_declared_as_a_lower_bound_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.mkdir()
    for _ in range(2):
        refuse_and_die(path, 100)
    path.rmdir()
    assert await declared_at_least(path) == [("alarm", 20), ("detection", 180)]
    assert await declared_at_least(path) == [], "once"


async def test_a_disk_that_is_full_to_the_last_byte_still_counts(small_disk: Path) -> None:
    path = small_disk / "o.db"
    first = await opened(path)
    await first.close()
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 12)):
            pass
    refuse_and_die(path, 300)
    ballast.unlink()
    assert await declared_at_least(path) == [("alarm", 30), ("detection", 270)]


def test_a_kill_between_the_outbox_and_its_counts_neither_loses_nor_doubles_any(tmp_path: Path) -> None:
    """Declared in the outbox, and not yet known beside it."""
    path = tmp_path / "o.db"
    path.mkdir()
    first = OutboxFile(path, 1 << 20)
    with pytest.raises(sqlite3.OperationalError):
        first.apply(Work([draft(), draft()]))
    path.rmdir()
    first.refused.declared = lambda declared: None  # type: ignore[method-assign]  # killed before
    first.apply(Work([draft()]))
    assert first.books.summary().dropped == {RecordClass.DETECTION: 2}
    second = OutboxFile(path, 1 << 20)
    second.apply(Work([draft()]))
    assert second.books.summary().dropped == {RecordClass.DETECTION: 2}
    for each in (first, second):
        each.close()


@pytest.mark.parametrize("after", [True, False], ids=["it is in the file", "it is not"])
def test_a_kill_after_a_commit_that_failed_leaves_it_to_the_file_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    fallible(monkeypatch)
    first = OutboxFile(tmp_path / "o.db", 1 << 20)
    first.apply(Work([draft()]))
    commit = 3  # BEGIN, the record, the epoch, COMMIT
    with failing(io_error("EIO"), commit + 1, after=after), pytest.raises(sqlite3.OperationalError):
        first.apply(Work([draft(), draft()]))
    second = OutboxFile(tmp_path / "o.db", 1 << 20)
    second.apply(Work([draft()]))
    said = second.books.summary()
    assert said.dropped == ({} if after else {RecordClass.DETECTION: 2})
    assert said.waiting[RecordClass.DETECTION].rows == (4 if after else 2)
    for each in (first, second):
        each.close()


@pytest.mark.parametrize("content", [b"", b"x", bytes(4096), os.urandom(4096)], ids=["none", "short", "zeros", "noise"])
def test_counts_that_cannot_be_read_go_on_from_what_was_declared(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o.db"
    path.mkdir()
    first = OutboxFile(path, 1 << 20)
    with pytest.raises(sqlite3.OperationalError):
        first.apply(Work([draft(), draft()]))
    path.rmdir()
    first.apply(Work())
    first.close()
    path.with_suffix(".refused").write_bytes(content)
    second = OutboxFile(path, 1 << 20)
    second.apply(Work([draft()]))
    assert second.books.summary().dropped == {RecordClass.DETECTION: 2}
    assert second.refused.content.refused[RecordClass.DETECTION] == 2
    second.close()


def test_counts_of_a_class_that_only_a_newer_agent_knows_end_nothing(tmp_path: Path) -> None:
    """It was put back. What it refused of that class nobody here can declare."""
    first = OutboxFile(tmp_path / "o.db", 1 << 20)
    first.refused.content.refused = {6: 3, int(RecordClass.ALARM): 2}
    first.refused.content.declared = {6: 1, int(RecordClass.ALARM): 1}
    first.refused.write()
    first.close()
    second = OutboxFile(tmp_path / "o.db", 1 << 20)
    second.apply(Work([draft()]))
    assert second.books.summary().dropped == {RecordClass.ALARM: 1}
    second.close()
