"""The outbox's SQLite file: one transaction per `apply`. Used by the writer thread of `outbox_sqlite` only.

An fsync is what telemetry costs most on a memory card, so a transaction that changes nothing writes nothing, and what
the control plane has stored is deleted with the next records that are kept, when nothing else comes, or it is much.

Records are stamped with the box's clock as it is. Ages are told by a clock that nobody can set: the box's as it was
when this process began, and what went by since. So a clock set a day ahead drops nothing; one that was set between two
starts is wrong by that much.

A file, or its log, that somebody takes away while it is open would go on taking records that nobody finds after the
next start. What it holds is then written anew under its name.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from agent.adapters import outbox_tables
from agent.adapters.files import sync_directory, sync_file
from agent.adapters.outbox_refused import Doubt, Loss, RefusedFile
from agent.adapters.outbox_tables import SqliteRows
from agent.telemetry import outbox
from agent.telemetry.books import Books, Bounds, Tally
from agent.telemetry.caps import DEFAULT_CAPS, Caps
from agent.telemetry.classes import RecordClass
from agent.telemetry.outbox import Lane, Lanes, Taken
from agent.telemetry.ranges import SeqRange
from agent.telemetry.records import Draft, Gap

PAGE_BYTES = 4096
MIN_PAGES = 64  # below it not even the schema and a Gap fit
VOLUME_SHARE = 0.4  # that the file may take: on a full volume even deleting fails
BODY_SHARE = 0.6  # of the file that bodies may fill; the rest is pages half full, the index, what a commit needs
WAL_PAGES = 256  # the log beside the file is folded in from this length on: 1 MiB
SPARE_PAGES = 64  # that stay in an empty file for the next records; giving each one back would be a write of its own
WORK_PAGES = 16  # that a file over its bound may grow by: its tables and a Gap
SHRINK_PAGES = 500  # given back in one go
STEP_BYTES = 512 << 10  # towards a narrower bound: what goes is first copied into the log, which may lie on a full disk
MOST_PATIENT = 200  # ranges of stored records that wait for others to be deleted with
EXPIRE_SECONDS = 10.0  # between two looks for what is too old

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger(__name__)


@dataclass
class Work:
    """What one transaction does, in this order: forget, declare what was lost, accept, take."""

    drafts: list[Draft] = field(default_factory=list)
    forgotten: list[tuple[str, SeqRange]] = field(default_factory=list)  # epoch and numbers
    takes: list[tuple[Lane, int, int]] = field(default_factory=list)  # most rows, most bytes
    lost: Counter[Loss] = field(default_factory=Counter)
    told: Sequence[Tally] = ()  # that the control plane has
    at_once: bool = False  # somebody waits until all of it is durable

    @property
    def empty(self) -> bool:
        return not (self.drafts or self.forgotten or self.takes or self.lost)

    @property
    def patient(self) -> bool:
        """Deleting what it forgets may wait. What is empty was made because nothing else came."""
        return not (self.drafts or self.lost or self.at_once or self.empty)


@dataclass
class _Owed:
    """What is to be written with the next transaction that works."""

    forgotten: list[tuple[str, SeqRange]] = field(default_factory=list)
    lost: Counter[Loss] = field(default_factory=Counter)
    holes: list[Gap] = field(default_factory=list)  # of epochs that are in the outbox no more

    def __bool__(self) -> bool:
        return bool(self.forgotten or self.lost or self.holes)

    @property
    def patient(self) -> bool:
        return len(self.forgotten) < MOST_PATIENT and not (self.lost or self.holes)


@dataclass
class _Limbo:
    """A transaction whose commit failed: it may be in the file all the same."""

    work: Work
    before: int  # numbers given out by this start without it
    after: int  # with it
    reason: str
    owed: _Owed  # that it writes, too; what is owed since is not of it


@dataclass(frozen=True)
class Size:
    """How large the file may be, and what may wait in it."""

    max_bytes: int
    caps: Caps

    def pages(self, volume_bytes: int) -> int:
        return max(MIN_PAGES, min(self.max_bytes, int(volume_bytes * VOLUME_SHARE)) // PAGE_BYTES)


class OutboxFile:
    """Open when first needed, and again after a failure. Raises sqlite3.Error and OSError only.

    What a failed `apply` could not write is remembered, and declared by the next one that works. Content that can't be
    read is damage like any other: pages that contradict each other, books that are none, a class of a newer agent.
    """

    def __init__(
        self, path: Path, max_bytes: int, caps: Caps = DEFAULT_CAPS, unix: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.books = Books()
        self.damaged = ""  # what was found damaged since the start, in one sentence
        self._size = Size(max_bytes, caps)
        self._bounds = Bounds(0, caps)
        self._pages = 0
        self._resized = False
        self._unix = unix
        self._began = unix() - time.monotonic()
        self._expired_at = float("-inf")  # monotonic
        self._start = secrets.token_hex(8)
        self._before: str | None = None
        self._lanes = Lanes()
        self._connection: sqlite3.Connection | None = None
        self._owed = _Owed()
        self._limbo: _Limbo | None = None
        self._slack = False  # pages are to be given back
        self._damaged = False  # the open file, which is to be set aside
        self._shaky = False  # a write failed since it was opened
        self._files: tuple[int, ...] = ()  # see `_inodes`
        self._checked = False  # once per process: reading all pages takes a while
        self._asked = False  # what earlier starts refused
        self._aside, self._why = "", ""  # a damaged outbox that is to be declared, and what was found

    @property
    def owes(self) -> bool:
        """Something is still to be written although nobody asks."""
        over = self.books.held_bytes > self._bounds.total_bytes
        return self._limbo is not None or bool(self._owed) or bool(self._aside) or self._slack or over

    @cached_property
    def refused(self) -> RefusedFile:
        """Opened by the thread that writes."""
        return RefusedFile(self.path.with_suffix(".refused"))

    def bound(self, max_bytes: int) -> None:
        """Keep within so many bytes from the next `apply` on."""
        self._resized = self._resized or max_bytes != self._size.max_bytes
        self._size = replace(self._size, max_bytes=max_bytes)

    def reconnected(self) -> None:
        self._lanes.reconnected(self.books)

    def owe(self, work: Work, reason: str) -> None:
        """`work` will not be written: count its records as lost, keep the rest for the next `apply`."""
        lost = Counter(work.lost)
        lost.update(Loss(draft.record_class, reason) for draft in work.drafts)
        self._owed.forgotten.extend(work.forgotten)
        self._owed.lost.update(lost)
        self.refused.add(lost)

    def apply(self, work: Work) -> list[Taken]:
        """Do all of `work` and return what was taken, or do nothing of it and raise."""
        if work.lost:  # it is, whatever becomes of the rest
            self.owe(Work(lost=work.lost), "")
            work.lost = Counter()
        try:
            if self._connection is not None and _inodes(self.path) != self._files:
                self._write_anew(self._connection)
            connection = self._connection or self._open()
            self._fit()
        except (sqlite3.Error, OSError) as error:
            self.owe(work, str(error))
            raise
        self.books.hear(work.told)
        books, lanes = self.books.copy(), self._lanes.copy()
        patient = work.patient and self._owed.patient and not self._aside
        try:
            connection.execute("BEGIN IMMEDIATE")
            rows = SqliteRows(connection)
            if not patient:
                self._write(rows, books, work)
            taken = [outbox.take(rows, books, lanes, *each) for each in work.takes]
            outbox_tables.save(connection, books, self.books)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._failed(work, books.accepted_here, error)
            raise
        self._done(work, books, lanes, patient=patient)
        if not patient:
            self._shrink(connection)
        self._resize(connection)
        return taken

    def close(self) -> None:
        self._disconnect()
        self.refused.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, rows: SqliteRows, books: Books, work: Work) -> None:
        at_ms, bounds = int(self._unix() * 1000), self._step()
        for epoch, numbers in (*self._owed.forgotten, *work.forgotten):
            outbox.forget(rows, books, epoch, [numbers])
        outbox.make_room(rows, books, bounds, at_ms)  # first: a file over its bound may have no free page
        for hole in self._holes(books):
            outbox.declare(rows, books, hole, at_ms)
        for loss, count in self._owed.lost.items():
            outbox.lose(rows, books, loss.record_class, count, loss.reason, at_ms, lower_bound=loss.lower_bound)
            books.refused[loss.record_class] = books.refused.get(loss.record_class, 0) + count
        if time.monotonic() - self._expired_at >= EXPIRE_SECONDS:
            now_ms = int((self._began + time.monotonic()) * 1000)
            outbox.expire(rows, books, bounds, now_ms, at_ms)
        outbox.accept(rows, books, work.drafts, bounds, at_ms)
        books.close()

    def _step(self) -> Bounds:
        """As close to what is told as one transaction comes."""
        return replace(self._bounds, total_bytes=max(self._bounds.total_bytes, self.books.held_bytes - STEP_BYTES))

    def _done(self, work: Work, books: Books, lanes: Lanes, *, patient: bool) -> None:
        self.books, self._lanes = books, lanes
        if patient:
            self._owed.forgotten.extend(work.forgotten)
            return
        self._owed, self._aside = _Owed(), ""
        if time.monotonic() - self._expired_at >= EXPIRE_SECONDS:
            self._expired_at = time.monotonic()
        self._lanes.keep(books)
        self.refused.declared(books.refused)

    def _failed(self, work: Work, accepted: int, error: Exception) -> None:
        self._limbo = _Limbo(work, self.books.accepted_here, accepted, str(error), self._owed)
        self._owed = _Owed()
        if work.drafts:
            records = Counter(int(draft.record_class) for draft in work.drafts)
            self.refused.doubt(Doubt(self._start, accepted, dict(records)))
        self._damaged, self._shaky = _is_damage(error), True
        self._disconnect()

    def _fit(self) -> None:
        """Know how much may wait: as was told, and as the volume allows."""
        if self._pages and not self._resized:
            return
        volume = os.statvfs(self.path.parent)
        self._pages = self._size.pages(volume.f_blocks * volume.f_frsize)
        self._bounds = Bounds(int(self._pages * PAGE_BYTES * BODY_SHARE), self._size.caps)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Give pages back to the file system once a backlog is gone. Failing at that is no failure of `apply`."""
        with suppress(sqlite3.Error):
            free, pages = (
                connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("freelist_count", "page_count")
            )
            had, self._slack = self._slack, free > SPARE_PAGES and 2 * free > pages
            if self._slack:
                connection.executescript(f"PRAGMA incremental_vacuum({SHRINK_PAGES})")  # execute() would free one page
            elif had:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _resize(self, connection: sqlite3.Connection) -> None:
        """The file follows a new bound, as soon as it is no longer over it: pages that are free now go first."""
        if self._resized:
            with suppress(sqlite3.Error):
                connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
                self._limit(connection)

    def _limit(self, connection: sqlite3.Connection) -> None:
        """No file is bounded below its size; one that is over its bound needs some pages to get below it."""
        (there,) = connection.execute("PRAGMA page_count").fetchone()
        over = there > self._pages
        connection.execute(f"PRAGMA max_page_count={there + WORK_PAGES if over else self._pages}").fetchall()
        self._resized = over

    # ---- opening ----

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fit()
        if self._damaged:
            self._set_aside("it was damaged while in use")
        try:
            connection = self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(str(error))
            connection = self._connect()
        self._connection, self._files = connection, _inodes(self.path)
        self._leave_limbo()
        return connection

    def _write_anew(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error and OSError: it goes on without."""
        log.error("%s was taken away while it was in use; it is written anew", self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self.path.with_name(f"{self.path.name}.anew")
        whole.unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", (str(whole),))
        sync_file(whole)
        for suffix in ("-wal", "-shm"):  # first: a log must not lie beside another file
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        whole.replace(self.path)
        sync_directory(self.path.parent)
        self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            prepare(connection)
            self._limit(connection)
            if not self._checked:
                _check(connection)
                self._checked = True
            if self._shaky:  # what a failed fsync left may be in memory only: written anew, it is on the disk
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._shaky = False
            self.books = self._begun(connection)
            self._lanes.keep(self.books)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begun(self, connection: sqlite3.Connection) -> Books:
        """The books, in which this start stands before anything is sent under its name."""
        books = _load(connection)
        self._look_aside(books)
        if books.start != self._start:
            earlier = books.copy()
            self._before = books.start if self._before is None else self._before
            books.start, books.before, books.current = self._start, self._before, {}
            outbox_tables.save(connection, books, earlier)
        if not self._asked:
            accepted = Counter[str]()
            for epoch in books.epochs.values():
                accepted[epoch.start] += epoch.accepted
            for each, count in self.refused.undeclared(books.refused, accepted).items():
                reason = f"{self.refused.reason(each)}; the agent ended before it could say so"
                self._owed.lost[Loss(each, reason, lower_bound=True)] += count
            self._asked = True
        known = self.refused.content.declared  # a newer agent may have counted more classes
        books.refused |= {each: max(known[each], books.refused.get(each, 0)) for each in RecordClass if each in known}
        return books

    def _leave_limbo(self) -> None:
        """Now the file can tell whether the doubtful transaction is in it."""
        limbo, self._limbo = self._limbo, None
        if limbo is None:
            return
        if limbo.before < limbo.after == self.books.accepted_here:
            self._aside = ""
            self.refused.certain({})
            self.refused.declared(self.books.refused)
            return
        lost = Counter(Loss(draft.record_class, limbo.reason) for draft in limbo.work.drafts)
        self._owed.forgotten[:0] = [*limbo.owed.forgotten, *limbo.work.forgotten]
        self._owed.holes[:0] = limbo.owed.holes
        for each in (limbo.owed.lost, lost):
            self._owed.lost.update(each)
        self.refused.certain(lost)

    # ---- damage ----

    @property
    def _aside_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged")

    def _set_aside(self, why: str) -> None:
        """Begin anew. What is known to have waited is declared; what of it was sent may be stored all the same."""
        log.error("%s is damaged (%s); it was set aside as %s", self.path, why, self._aside_path)
        for suffix in ("-wal", "-shm", ""):  # the file last: a log must not lie beside a new one
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.replace(self._aside_path.with_name(self._aside_path.name + suffix))
        self._why = f"the outbox was damaged and set aside ({why})"
        self._owed.holes += [
            Gap(each.record_class, each.oldest.seq, each.accepted, each.held.rows, self._why, each.name)
            for each in self.books.by_importance()
        ]
        self._owed.forgotten.clear()
        self.books, self._lanes, self._damaged = Books(), Lanes(), False

    def _look_aside(self, books: Books) -> None:
        """A damaged outbox lies here that was not declared: also when this process is not the one that set it aside."""
        try:
            there = self._aside_path.stat()
        except FileNotFoundError:
            return
        mark = f"{there.st_ino}:{there.st_mtime_ns}"
        if not books.start and any(each < 0 for each in books.epochs):
            books.aside = mark  # an agent before 0.2 declared it
            return
        self._aside = mark if mark != books.aside else ""
        if self._aside:
            self.damaged = f"{self.path.name} was damaged and set aside as {self._aside_path.name}; what waited is lost"

    def _holes(self, books: Books) -> list[Gap]:
        """What to declare of the damaged outbox: where nothing is known of it, that it was."""
        if not self._aside:
            return []
        books.aside = self._aside
        why = self._why or "the outbox was damaged and set aside"
        unknown = f"{why}; what waited in it since before this start is not counted"
        return self._owed.holes or [Gap(RecordClass.DETECTION, 0, 0, 0, unknown, lower_bound=True)]


def _inodes(path: Path) -> tuple[int, ...]:
    """Of a database and its log; 0 of what is not there."""
    found = []
    for each in (path, path.with_name(f"{path.name}-wal")):
        try:
            found.append(each.stat().st_ino)
        except FileNotFoundError:
            found.append(0)
    return tuple(found)


def prepare(connection: sqlite3.Connection) -> None:
    """Durable, bounded in its log, and able to give pages back."""
    for pragma in (
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"journal_size_limit={WAL_PAGES * PAGE_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _check(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError with SQLITE_CORRUPT when pages contradict each other."""
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise _damage(said)


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _load(connection: sqlite3.Connection) -> Books:
    """Raises as `_check` when they can't be read."""
    try:
        return outbox_tables.load(connection)
    except ValueError as error:
        raise _damage(f"its books can't be read: {error}") from error
