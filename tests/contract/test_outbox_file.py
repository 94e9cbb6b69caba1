"""The file of an outbox: starts, the first release's form, damage, space. The contract: test_telemetry_outbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from agent.adapters import outbox_sqlite
from agent.adapters.outbox_file import OutboxFile, Work
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.supervise import Tasks
from agent.telemetry import records
from agent.telemetry.caps import Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane
from tests.sim import durability, past
from tests.sim.outboxes import SMALL, adds_up, drain, failing, fallible, opened, take
from tests.sim.telemetry import Oracle, draft
from tests.sim.waiting import until

SECONDS = 15.0
NOW = 1_795_000_000.0


async def test_after_a_restart_everything_unacknowledged_goes_out_again_under_its_old_number(tmp_path: Path) -> None:
    first = await opened(tmp_path / "o.db")
    for number in range(1, 4):
        first.put(draft(number=number))
    await first.settle()
    before = await take(first)
    first.forget(before.epoch, [(2, 2)])
    await first.close()
    second = await opened(tmp_path / "o.db")
    second.put(draft(number=9))
    await second.settle()
    live, again = await second.take(Lane.LIVE, 100, 1 << 20), await second.take(Lane.HISTORICAL, 100, 1 << 20)
    assert (again.epoch, again.historical) == (before.epoch, True)
    assert [row.seq for row in again.rows] == [1, 3]
    assert live.epoch != before.epoch
    assert [row.seq for row in live.rows] == [1]
    await second.close()


async def test_each_start_has_a_name_of_its_own_and_says_which_one_was_before_it(tmp_path: Path) -> None:
    names: list[tuple[str, str]] = []
    for _ in range(3):
        outbox = await opened(tmp_path / "o.db")
        outbox.put(draft())
        await outbox.settle()
        said, taken = outbox.summary(), await outbox.take(Lane.LIVE, 1, 1)
        assert (taken.start, taken.before) == (said.start, said.before)
        names.append((said.start, said.before))
        await outbox.close()
    assert len({start for start, _ in names}) == 3
    assert [before for _, before in names] == ["", names[0][0], names[1][0]]


async def test_the_start_is_in_the_file_before_anything_is_sent_under_its_name(tmp_path: Path) -> None:
    outbox = await opened(tmp_path / "o.db")
    with sqlite3.connect(tmp_path / "o.db") as beside:
        assert beside.execute("SELECT start FROM lineage").fetchall() == [(outbox.summary().start,)]
    beside.close()
    await outbox.close()


async def test_epochs_of_several_starts_wait_side_by_side_and_end_once_they_are_told(tmp_path: Path) -> None:
    path, oracle = tmp_path / "o.db", Oracle()
    for number in range(4):
        outbox = await opened(path)
        for record_class in (RecordClass.DETECTION, RecordClass.ALARM):
            outbox.put(draft(record_class, number))
        await outbox.close()
    outbox = await opened(path)
    assert outbox.summary().waiting_rows == 8
    await drain(outbox, oracle)
    assert len(oracle.stored) == len(outbox.tallies()) == 8
    adds_up(outbox, oracle)
    outbox.told(outbox.tallies())
    await outbox.settle()
    assert outbox.tallies() == []
    assert outbox.summary().accepted == 8
    await outbox.close()
    with sqlite3.connect(path) as beside:
        assert beside.execute("SELECT count(*) FROM epochs").fetchall() == [(0,)]
    beside.close()


# ---- an outbox of an agent before 0.2 ----

OLD_SCHEMA = """
CREATE TABLE waiting (class INTEGER, seq INTEGER, body BLOB NOT NULL, PRIMARY KEY (class, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE books (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, last_seq INTEGER NOT NULL,
                    state BLOB NOT NULL) STRICT;
"""
OLD_DETECTIONS, OLD_COUNTS, OLD_GAPS = 1, 4, 5


def old_outbox(path: Path, detections: int) -> None:
    """As 0.1.0 left it: 7 of its records dropped, and the first 3 of its detections maybe sent."""
    rows = [(OLD_DETECTIONS, 10 + number, draft(number=number).body) for number in range(detections)]
    rows += [(OLD_COUNTS, 9, draft(RecordClass.METRIC).body)]
    rows += [(OLD_GAPS, 8, records.gap(records.Gap(RecordClass.DETECTION, 1, 7, 7, "full")))]
    state = {"dropped": {OLD_DETECTIONS: 7}, "sent_up_to": {OLD_DETECTIONS: 12}}
    with sqlite3.connect(path, isolation_level=None) as file:
        file.executescript(f"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; {OLD_SCHEMA}")
        file.executemany("INSERT INTO waiting VALUES (?, ?, ?)", rows)
        last = 9 + detections
        file.execute("INSERT INTO books VALUES (1, 'old', ?, ?)", (last, msgspec.msgpack.encode(state)))
    file.close()


async def test_an_outbox_of_the_first_release_loses_no_row_and_keeps_its_epoch_and_numbers(tmp_path: Path) -> None:
    path, oracle = tmp_path / "o.db", Oracle()
    old_outbox(path, 5)
    outbox = await opened(path)
    assert outbox.summary().waiting_rows == 7
    outbox.put(draft())
    await outbox.settle()
    assert (await outbox.take(Lane.LIVE, 100, 1 << 20)).epoch != "old"
    historical = await outbox.take(Lane.HISTORICAL, 100, 1 << 20)
    assert (historical.epoch, historical.record_class) == ("old", RecordClass.GAP)
    oracle.take(records.batch("old", historical.rows))
    await drain(outbox, oracle)
    assert {seq for epoch, seq in oracle.stored if epoch == "old"} == set(range(8, 15))
    (tally,) = [each for each in outbox.tallies() if each.epoch == "old"]
    assert (tally.word, tally.accepted, tally.waiting, tally.dropped) == ("", 14, 1, 7)
    assert outbox.summary().accepted == 14 + 1
    await outbox.close()


async def test_the_first_releases_tables_go_once_everything_of_them_is_stored_and_told(tmp_path: Path) -> None:
    path, oracle = tmp_path / "o.db", Oracle()
    old_outbox(path, 5)
    outbox = await opened(path)
    await drain(outbox, oracle)
    outbox.told(outbox.tallies())
    outbox.put(draft())
    await outbox.settle()
    assert outbox.summary().accepted == 14 + 1
    assert outbox.summary().dropped == {RecordClass.DETECTION: 7}
    await outbox.close()
    with sqlite3.connect(path) as file:
        assert not {"waiting", "books"} & {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    file.close()


async def test_the_first_release_put_back_finds_what_is_left_and_never_drops_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    old_outbox(path, 5)
    outbox = await opened(path)
    taken = await outbox.take(Lane.HISTORICAL, 1, 1)
    outbox.forget(taken.epoch, [(row.seq, row.seq) for row in taken.rows])
    await outbox.take(Lane.HISTORICAL, 4, 1 << 20)
    await outbox.close()
    with sqlite3.connect(path) as file:
        ((epoch, last, state),) = file.execute("SELECT epoch, last_seq, state FROM books").fetchall()
        left = file.execute("SELECT class, seq FROM waiting ORDER BY class, seq").fetchall()
    file.close()
    assert (epoch, last) == ("old", 14)
    assert msgspec.msgpack.decode(state)["sent_up_to"][OLD_DETECTIONS] == 13
    assert left == [*((OLD_DETECTIONS, seq) for seq in range(10, 15)), (OLD_COUNTS, 9)]


async def test_a_full_outbox_of_the_first_release_drops_by_class_and_says_so_of_its_epoch(tmp_path: Path) -> None:
    path, oracle = tmp_path / "o.db", Oracle()
    old_outbox(path, 3_000)
    outbox = await opened(path, SMALL)
    outbox.put(draft(RecordClass.ALARM))
    await outbox.settle()
    assert outbox.summary().dropped_rows > 1_000
    await drain(outbox, oracle)
    (gap,) = [each.gap for each in oracle.bodies("gap") if each.gap.epoch == "old"]
    assert (gap.record_class, gap.first_seq) == ("detection", 13), "the three before it may have been sent"
    assert len(oracle.bodies("outcomes")) == 1
    assert len(oracle.bodies("frame")) + gap.dropped == 3_000
    await outbox.close()


async def test_what_the_first_release_itself_left_is_taken_over(tmp_path: Path) -> None:
    folder, oracle = past.box(tmp_path / "box"), Oracle()
    with sqlite3.connect(folder / "outbox.db") as file:
        (name,) = file.execute("SELECT epoch FROM books").fetchone()
        seqs = {seq for (seq,) in file.execute("SELECT seq FROM waiting")}
    file.close()
    outbox = await opened(folder / "outbox.db")
    await drain(outbox, oracle)
    assert {seq for epoch, seq in oracle.stored if epoch == name} == seqs
    assert len(seqs) > 5
    await outbox.close()


# ---- damage ----


async def set_aside(path: Path, old: str, why: str) -> None:
    """What lies at `path` is, a Gap says why, so does the box, and records are kept again."""
    async with asyncio.timeout(SECONDS):
        second, oracle = await opened(path), Oracle()
        second.put(draft())
        await second.settle()
        await drain(second, oracle)
    assert second.summary().before != old
    assert "set aside as o.db.damaged" in second.summary().damaged
    assert path.with_name(f"{path.name}.damaged").exists()
    assert why in oracle.bodies("gap")[0].gap.reason
    assert len(oracle.bodies("frame")) == 1
    await second.close()


async def test_a_damaged_file_is_set_aside_and_a_gap_says_so(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    first = await opened(path)
    for number in range(500):
        first.put(draft(number=number))
    old = first.summary().start
    await first.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(60_000))
    await set_aside(path, old, "damaged")


async def test_damage_that_only_writing_would_meet_is_found_at_the_start(tmp_path: Path) -> None:
    """In the list of free pages, which nobody looks into before one is needed."""
    path = tmp_path / "o.db"
    first, oracle = await opened(path), Oracle()
    await first.accepted(*(draft(number=number) for number in range(500)))
    await drain(first, oracle)
    await first.close()
    with path.open("r+b") as file:
        file.seek(32)
        free = int.from_bytes(file.read(4), "big")
        assert free > 1, "there are free pages"
        file.seek(4096 * (free - 1))
        file.write(b"\x7f" * 4096)
    second = await opened(path)
    assert "set aside as o.db.damaged" in second.summary().damaged
    await second.close()


async def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.write_bytes(b"not a database at all, sorry" * 1000)
    outbox = await opened(path)
    outbox.put(draft())
    await outbox.settle()
    assert outbox.summary().trouble == ""
    assert outbox.summary().waiting_rows == 2  # the record, and the Gap about the damage
    await outbox.close()


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE lineage SET state = x'c1'",
        "UPDATE lineage SET state = x'81a764726f70706564a178'",  # {"dropped": "x"}
        "UPDATE lineage SET state = x'81a764726f707065648163ff'",  # {"dropped": {99: -1}}
        "UPDATE lineage SET state = x'81a764726f70706564816301'",  # {"dropped": {99: 1}}
        "INSERT INTO records VALUES (99, 1, 1, x'00')",
        "INSERT INTO epochs VALUES (99, 'e', 99, 's', 1, 0, x'90')",
        "INSERT INTO epochs VALUES (99, 'e', 3, 's', 1, 0, x'c1')",
    ],
    ids=[
        "no msgpack", "no counts", "a count below zero", "books of a newer agent", "a record of no epoch",
        "an epoch of a newer agent", "an epoch that says nothing of what was sent",
    ],
)  # fmt: skip
async def test_content_that_cannot_be_read_is_damage_like_any_other(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "o.db"
    first = await opened(path)
    old = first.summary().start
    await first.close()
    with sqlite3.connect(path) as connection:
        connection.execute(spoil)
    connection.close()
    await set_aside(path, old, "its books can't be read")


async def test_a_writer_that_ends_by_itself_leaves_nobody_waiting_and_ends_the_agent(tmp_path: Path) -> None:
    outbox, tasks = await opened(tmp_path / "o.db"), Tasks()
    tasks.eternal("outbox", outbox.guard())
    async with asyncio.timeout(SECONDS):
        outbox.put(draft())
        await outbox.settle()
        outbox.forget(outbox.tallies()[0].epoch, [(1,)])  # type: ignore[list-item]  # what a mistake of ours may be
        await asyncio.gather(outbox.settle(), take(outbox, 1, 1))
        assert await tasks.failure() == "outbox"
        await outbox.settle()
        assert (await take(outbox, 1, 1)).rows == ()
        await outbox.close()
    await tasks.stop()


def commits(path: Path) -> int:
    """Transactions in the log of an open file that has not been folded in yet: each cost an fsync."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    frame = 24 + int.from_bytes(log[8:12], "big")
    return sum(log[start + 4 : start + 8] != bytes(4) for start in range(32, len(log), frame))


async def test_a_burst_costs_two_commits_and_asking_in_vain_costs_none(tmp_path: Path) -> None:
    """One keeps the new records and deletes the stored ones, one writes down what is about to be sent."""
    path = tmp_path / "o.db"
    outbox = await opened(path)
    before = commits(path)
    for burst in range(1, 6):
        outbox.put(draft(number=burst))
        await outbox.settle()
        taken = await take(outbox)
        assert (await take(outbox)).rows == ()
        outbox.forget(taken.epoch, [(burst, burst)])
        assert (await take(outbox)).rows == ()
    assert commits(path) - before == 2 * 5
    assert outbox.summary().waiting_rows == 1
    await outbox.close()


async def test_what_was_stored_is_deleted_when_nothing_else_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sqlite, "RETRY_SECONDS", 0.02)
    outbox = await opened(tmp_path / "o.db")
    outbox.put(draft())
    await outbox.settle()
    outbox.forget(outbox.tallies()[0].epoch, [(1, 1)])
    await take(outbox)
    await until(lambda: outbox.summary().waiting_rows == 0)
    await outbox.close()


def test_what_was_stored_is_deleted_now_and_then_while_nothing_but_a_backlog_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes for hours: the books would say that all of it waits, and a kill would send all of it again."""
    monkeypatch.setattr("agent.adapters.outbox_file.MOST_PATIENT", 10)
    file = OutboxFile(tmp_path / "o.db", 16 << 20)
    file.apply(Work([draft(number=number) for number in range(150)]))
    waiting = []
    for _ in range(30):
        (taken,) = file.apply(Work(takes=[(Lane.LIVE, 5, 1 << 20)]))
        file.apply(Work(forgotten=[(taken.epoch, (taken.rows[0].seq, taken.rows[-1].seq))]))
        waiting.append(file.books.summary().waiting_rows)
    assert waiting[0] == 150, "deleting waits for company"
    assert waiting[-1] <= 5 * 10
    file.close()


async def test_the_file_gives_space_back_when_the_backlog_is_gone(tmp_path: Path) -> None:
    path, oracle = tmp_path / "o.db", Oracle()
    outbox = await opened(path, 16 << 20)
    for number in range(10_000):
        outbox.put(draft(number=number))
    await outbox.settle()
    await outbox.settle()
    assert path.stat().st_size > 1 << 20
    await drain(outbox, oracle)
    outbox.put(draft())
    await until(lambda: path.stat().st_size < 400_000)
    await outbox.close()


async def test_the_file_follows_a_narrower_bound(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    outbox = await opened(path, 4 << 20)
    for number in range(10_000):
        outbox.put(draft(number=number))
    await outbox.settle()
    assert path.stat().st_size > 1 << 20
    outbox.bound(1 << 20)
    await outbox.settle()
    for number in range(10_000):
        outbox.put(draft(number=number))
        if number % 500 == 0:
            await outbox.settle()
    await outbox.settle()
    assert outbox.summary().waiting_rows > 1_000
    await outbox.close()
    assert path.stat().st_size <= 1 << 20


def test_a_file_that_is_over_a_narrower_bound_follows_it_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting what was acknowledged may wait, and until then the file can't shrink. No other bound applies here."""
    monkeypatch.setattr("agent.adapters.outbox_file.BODY_SHARE", 100.0)
    path, some = tmp_path / "o.db", [draft(number=number) for number in range(500)]
    file = OutboxFile(path, 4 << 20)
    for _ in range(20):
        file.apply(Work(some))
    (taken,) = file.apply(Work(takes=[(Lane.LIVE, 10_000, 4 << 20)]))
    file.bound(1 << 20)
    file.apply(Work(forgotten=[(taken.epoch, (1, 10_000))]))
    file.apply(Work())
    for _ in range(3):
        file.apply(Work(some))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.apply(Work(20 * some))
    file.close()
    assert path.stat().st_size <= 1 << 20


def test_a_much_narrower_bound_is_come_to_in_steps_whose_log_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a full disk tells a narrower bound: a log as large as all that goes would never fit beside it."""
    path, logs, shrink = tmp_path / "o.db", list[int](), OutboxFile._shrink
    file = OutboxFile(path, 16 << 20)
    for _ in range(5):
        file.apply(Work([draft(number=number) for number in range(5_000)]))

    def noting(self: OutboxFile, connection: sqlite3.Connection) -> None:
        logs.append(path.with_name("o.db-wal").stat().st_size)
        shrink(self, connection)

    monkeypatch.setattr(OutboxFile, "_shrink", noting)
    file.bound(1 << 20)
    file.apply(Work())
    while file.owes:
        file.apply(Work())
    assert max(logs) <= 2 << 20
    assert file.books.summary().waiting_bytes <= 1 << 20
    file.close()
    assert path.stat().st_size <= 1 << 20


async def test_each_commit_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = durability.watched(monkeypatch)
    outbox = await opened(tmp_path / "o.db")
    await outbox.close()
    assert levels == [durability.FULL]


@pytest.mark.parametrize("gone", [("o.db", "o.db-wal", "o.db-shm"), ("o.db",), ("o.db-wal",)])
async def test_a_file_that_is_taken_away_while_it_is_used_is_written_anew(
    tmp_path: Path, gone: tuple[str, ...]
) -> None:
    outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
    for number in range(5):
        outbox.put(draft(number=number))
    await outbox.settle()
    for name in gone:
        (tmp_path / name).unlink()
    outbox.put(draft(number=6))
    await outbox.settle()
    shutil.copytree(tmp_path, tmp_path / "killed")
    again = await opened(tmp_path / "killed" / "o.db")
    assert again.summary().waiting_rows == 6
    await drain(again, oracle)
    adds_up(again, oracle)
    for each in (again, outbox):
        await each.close()


async def test_a_damaged_outbox_that_nobody_declared_is_declared_once(tmp_path: Path) -> None:
    """A kill may come between setting it aside and saying so."""
    (tmp_path / "o.db.damaged").write_bytes(b"what was set aside")
    for declared in (1, 0):
        outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
        await outbox.settle()
        await drain(outbox, oracle)
        gaps = [each.gap for each in oracle.bodies("gap")]
        assert [(gap.dropped, gap.lower_bound) for gap in gaps] == [(0, True)] * declared
        assert bool(outbox.summary().damaged) == bool(declared)
        await outbox.close()


async def test_damage_in_use_declares_what_is_known_to_have_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallible(monkeypatch)
    outbox, oracle = await opened(tmp_path / "o.db"), Oracle()
    await outbox.accepted(*(draft(number=number) for number in range(5)))
    (tally,) = outbox.tallies()
    await take(outbox, 2)
    outbox.forget(tally.epoch, [(1, 2)])
    await outbox.settle()
    broken = sqlite3.DatabaseError("database disk image is malformed")
    broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    with failing(broken):
        assert not await outbox.accepted(draft(number=6))
    await until(lambda: not outbox.summary().trouble)
    await drain(outbox, oracle)
    old, fresh = sorted((each.gap for each in oracle.bodies("gap")), key=lambda gap: gap.epoch != tally.epoch)
    assert (old.epoch, old.first_seq, old.last_seq, old.dropped) == (tally.epoch, 3, 5, 3)
    assert fresh.dropped == 1, "the record that found it"
    await outbox.close()


@pytest.mark.parametrize(("volume", "pages"), [(1 << 40, 2_560), (8 << 20, 819), (1 << 20, 102), (1 << 10, 64)])
def test_a_file_takes_two_fifths_of_its_volume_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volume: int, pages: int
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_blocks=volume // 512, f_frsize=512))
    file = OutboxFile(tmp_path / "o.db", 10 << 20)
    file.apply(Work())
    assert file._connection is not None
    assert file._connection.execute("PRAGMA max_page_count").fetchone() == (pages,)
    file.bound(20 << 20)
    file.apply(Work())
    assert file._connection.execute("PRAGMA max_page_count").fetchone()[0] == min(5_120, max(64, volume * 4 // 40_960))
    file.close()


def test_a_clock_that_is_set_a_day_ahead_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.adapters.outbox_file.EXPIRE_SECONDS", 0.0)
    now = [NOW]
    caps = Caps(ages={RecordClass.DETECTION: 3_600.0})
    file = OutboxFile(tmp_path / "o.db", 1 << 20, caps, unix=lambda: now[0])
    file.apply(Work([draft()]))
    now[0] += 86_400
    file.apply(Work([draft()]))
    assert file.books.summary().dropped_rows == 0
    assert file.books.summary().waiting_rows == 2
    file.close()
    later = OutboxFile(tmp_path / "o.db", 1 << 20, caps, unix=lambda: NOW + 7_200)
    later.apply(Work([draft()]))
    assert later.books.summary().dropped == {RecordClass.DETECTION: 1}, "of a start before; the other is of tomorrow"
    later.close()


async def test_a_commit_waits_for_company_but_not_for_ever(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db", 1 << 20, commit_seconds=0.05)
    await outbox.start()
    before = commits(tmp_path / "o.db")
    await asyncio.gather(*(outbox.accepted(draft(number=number)) for number in range(50)))
    assert commits(tmp_path / "o.db") == before + 1
    await outbox.close()
