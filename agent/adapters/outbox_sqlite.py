"""The outbox in SQLite: WAL, synchronous=FULL, one writer thread that commits in groups. The only user of its file.

Rules that hold here:

- each start of the agent has a name of its own and numbers from 1 in epochs of its own, so a wiped box can't reuse
  numbers, and a copied disk does not from its next start on;
- the file is bounded by max_page_count, below what was told and below its volume; a disk or file that is full, and any
  I/O error, stop writing for a second at a time: what comes meanwhile is counted, in a file of its own as well, and
  declared; nothing raises, the process goes on;
- after a failed commit the file is opened again and asked whether that commit is in it: nothing is counted twice;
- a damaged file is set aside (one is kept) and a new one begins with a Gap that says so;
- a writer that ends by a mistake of ours leaves nobody waiting, and `guard` raises what ended it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from agent.adapters.outbox_file import OutboxFile, Work
from agent.adapters.outbox_refused import Loss
from agent.telemetry.books import Summary, Tally
from agent.telemetry.caps import DEFAULT_CAPS, Caps
from agent.telemetry.outbox import Lane, Taken
from agent.telemetry.ranges import SeqRange
from agent.telemetry.records import Draft

COMMIT_SECONDS = 0.03  # one fsync for all that comes within
ENOUGH = 256  # records for which an fsync is worth its time at once
RETRY_SECONDS = 1.0  # between tries to write again
MAX_QUEUED = 20_000  # records before the writer; more come only while the disk hangs
MAX_QUEUED_BYTES = 32 << 20  # of these
WHILE_STUCK = "the outbox could not be written"
OVERRUN = "records came faster than the disk could write them"

_T = TypeVar("_T")

log = logging.getLogger(__name__)


@dataclass
class _Take:
    lane: Lane
    max_rows: int
    max_bytes: int
    answer: asyncio.Future[Taken]


@dataclass
class _Inbox:
    """What the event loop wants from the writer."""

    drafts: list[Draft] = field(default_factory=list)
    draft_bytes: int = 0
    forgotten: list[tuple[str, SeqRange]] = field(default_factory=list)
    takes: list[_Take] = field(default_factory=list)
    settles: list[asyncio.Future[None]] = field(default_factory=list)
    accepts: list[asyncio.Future[bool]] = field(default_factory=list)  # who wants to know what became of drafts
    overrun: Counter[Loss] = field(default_factory=Counter)
    told: tuple[Tally, ...] = ()
    max_bytes: int = 0  # a new bound; 0: none
    reconnected: bool = False
    closing: bool = False

    @property
    def urgent(self) -> bool:
        """Somebody waits."""
        return bool(self.takes or self.settles or self.closing)

    @property
    def ripe(self) -> bool:
        """Waiting for more is worth nothing."""
        return self.urgent or len(self.drafts) >= ENOUGH

    @property
    def anything(self) -> bool:
        return bool(self.drafts or self.forgotten or self.accepts or self.max_bytes or self.urgent)


class SqliteOutbox:
    """See agent.telemetry.outbox.Outbox. Made and used in one event loop; `start` first."""

    def __init__(
        self, path: Path, max_bytes: int, caps: Caps = DEFAULT_CAPS, commit_seconds: float = COMMIT_SECONDS
    ) -> None:
        self._file = OutboxFile(path, max_bytes, caps)
        self._commit_seconds = commit_seconds
        self._inbox = _Inbox()
        self._ready = threading.Condition()
        self._summary = Summary("", "", 0, {}, {})
        self._tallies: tuple[Tally, ...] = ()
        self._told: dict[str, Tally] = {}
        self._trouble = ""
        self._retry_at = 0.0  # monotonic; no write before
        self._handlers: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[None]

    async def start(self) -> None:
        """Open the file, or note why it can't be opened: `summary().trouble`."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._thread.start()
        await self.settle()

    async def guard(self) -> None:
        """Wait for ever, or raise what ended the writer: a task for supervise.Tasks.eternal."""
        await asyncio.shield(self._ended)

    # ---- the event loop's side ----

    def put(self, draft: Draft) -> None:
        with self._ready:
            self._put(draft)
            self._ready.notify()

    def _put(self, draft: Draft) -> bool:
        inbox = self._inbox
        if len(inbox.drafts) >= MAX_QUEUED or inbox.draft_bytes >= MAX_QUEUED_BYTES:
            inbox.overrun[Loss(draft.record_class, OVERRUN)] += 1
            return False
        inbox.drafts.append(draft)
        inbox.draft_bytes += len(draft.body)
        return True

    async def accepted(self, *drafts: Draft) -> bool:
        if self._ended.done():
            return False
        done: asyncio.Future[bool] = self._loop.create_future()
        with self._ready:
            room = not [draft for draft in drafts if not self._put(draft)]
            self._inbox.accepts.append(done)
            self._ready.notify()
        return await done and room

    def forget(self, epoch: str, ranges: Sequence[SeqRange]) -> None:
        with self._ready:
            self._inbox.forgotten.extend((epoch, each) for each in ranges)
            self._ready.notify()

    async def take(self, lane: Lane, max_rows: int, max_bytes: int) -> Taken:
        if self._ended.done():
            return Taken()
        answer: asyncio.Future[Taken] = self._loop.create_future()
        with self._ready:
            self._inbox.takes.append(_Take(lane, max_rows, max_bytes, answer))
            self._ready.notify()
        return await answer

    def reconnected(self) -> None:
        with self._ready:
            self._inbox.reconnected = True

    async def settle(self) -> None:
        if self._ended.done():
            return
        done: asyncio.Future[None] = self._loop.create_future()
        with self._ready:
            self._inbox.settles.append(done)
            self._ready.notify()
        await done

    def bound(self, max_bytes: int) -> None:
        with self._ready:
            self._inbox.max_bytes = max_bytes
            self._ready.notify()

    def summary(self) -> Summary:
        return self._summary

    def tallies(self) -> Sequence[Tally]:
        return [tally for tally in self._tallies if self._told.get(tally.epoch) != tally]

    def told(self, tallies: Sequence[Tally]) -> None:
        here = {tally.epoch for tally in self._tallies}
        self._told = {epoch: tally for epoch, tally in self._told.items() if epoch in here}
        self._told.update({tally.epoch: tally for tally in tallies})
        with self._ready:
            self._inbox.told = tuple(self._told.values())

    def on_waiting(self, handler: Callable[[], None]) -> None:
        self._handlers.append(handler)

    async def close(self) -> None:
        if not self._thread.is_alive():
            return
        with self._ready:
            self._inbox.closing = True
            self._ready.notify()
        await asyncio.to_thread(self._thread.join)

    # ---- the writer's side ----

    def _run(self) -> None:
        inbox = _Inbox()
        try:
            while not inbox.closing:
                inbox = self._collect()
                self._turn(inbox)
        except Exception as error:  # noqa: BLE001 - a supervised root: `guard` tells, and ends the agent
            self._tell(self._died, error, inbox)
        finally:
            self._file.close()

    def _collect(self) -> _Inbox:
        """Wait for work, then a little longer for more of it, unless somebody waits for the result."""
        with self._ready:
            self._ready.wait_for(lambda: self._inbox.anything, timeout=RETRY_SECONDS if self._file.owes else None)
            self._ready.wait_for(lambda: self._inbox.ripe, timeout=self._commit_seconds)
            inbox, self._inbox = self._inbox, _Inbox()
            return inbox

    def _turn(self, inbox: _Inbox) -> None:
        if inbox.max_bytes:
            self._file.bound(inbox.max_bytes)
        if inbox.reconnected:
            self._file.reconnected()
        takes = [(each.lane, each.max_rows, each.max_bytes) for each in inbox.takes]
        at_once = bool(inbox.settles or inbox.closing)
        work = Work(inbox.drafts, inbox.forgotten, takes, inbox.overrun, inbox.told, at_once)
        stuck, taken = bool(self._trouble), None
        if stuck and time.monotonic() < self._retry_at and not inbox.closing:
            self._file.owe(work, WHILE_STUCK)
        else:
            taken = self._write(work)
        self._tell(self._answer, inbox, taken, bool(work.drafts or stuck))

    def _write(self, work: Work) -> list[Taken] | None:
        """None: it could not be."""
        try:
            taken = self._file.apply(work)
        except (sqlite3.Error, OSError) as error:
            self._stumble(error)
            return None
        if self._trouble:
            log.warning("the outbox can be written again")
            self._trouble = ""
        self._summary = self._file.books.summary(damaged=self._file.damaged)
        self._tallies = tuple(self._file.books.tallies().values())
        return taken

    def _stumble(self, error: Exception) -> None:
        """A write failed: no other is tried for a while."""
        if not self._trouble:
            self._trouble = f"telemetry can't be written to {self._file.path} ({error}); free space there or mend it"
            log.error("%s", self._trouble)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._summary = replace(self._summary, trouble=self._trouble)

    def _tell(self, handler: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(handler, *arguments)
        except RuntimeError:
            log.debug("the event loop has ended before the outbox")

    def _answer(self, inbox: _Inbox, taken: list[Taken] | None, more: bool) -> None:  # noqa: FBT001 - a callback
        for take, rows in zip(inbox.takes, taken or [Taken() for _ in inbox.takes], strict=True):
            _set(take.answer, rows)
        for settle in inbox.settles:
            _set(settle, None)
        for accept in inbox.accepts:
            _set(accept, taken is not None)
        if more:
            for handler in self._handlers:
                handler()

    def _died(self, error: Exception, inbox: _Inbox) -> None:
        """The writer ended in the middle of `inbox`."""
        self._ended.set_exception(error)
        with self._ready:
            left, self._inbox = self._inbox, _Inbox()
        for each in (inbox, left):
            self._answer(each, None, False)


def _set(future: asyncio.Future[_T], value: _T) -> None:
    """Unless whoever waited gave up."""
    if not future.done():
        future.set_result(value)
