"""What tests of an outbox do with it: open it, drain it into an oracle, see that its books add up."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.telemetry import records
from agent.telemetry.outbox import Lane, Outbox, Taken
from tests.sim.telemetry import Oracle

SMALL = 400_000  # bytes of file: about 1500 results


async def opened(path: Path, max_bytes: int = 1 << 20) -> SqliteOutbox:
    outbox = SqliteOutbox(path, max_bytes, commit_seconds=0.001)
    await outbox.start()
    return outbox


async def take(outbox: Outbox, most: int = 100, most_bytes: int = 1 << 20) -> Taken:
    """From either lane."""
    live = await outbox.take(Lane.LIVE, most, most_bytes)
    return live if live.rows else await outbox.take(Lane.HISTORICAL, most, most_bytes)


async def drain(outbox: Outbox, oracle: Oracle, *, acknowledge: bool = True) -> None:
    """Take everything and let the oracle store it, tallies too."""
    while (taken := await take(outbox, most_bytes=64 << 10)).rows:
        ack = oracle.take(records.batch(taken.epoch, taken.rows))
        if acknowledge:
            outbox.forget(ack.epoch, [(each.first, each.last) for each in ack.stored])
    await outbox.settle()
    oracle.take(records.batch("", (), tallies=outbox.tallies()))


def adds_up(outbox: Outbox, oracle: Oracle) -> None:
    """accepted = stored + declared dropped + waiting, in all and per epoch, once everything stored was acknowledged."""
    said = outbox.summary()
    assert said.accepted == len(oracle.stored) + oracle.declared().total() + said.waiting_rows
    for epoch, tally in oracle.tallies.items():
        assert tally.accepted == len(oracle.numbers(epoch)) + tally.waiting
        assert oracle.numbers(epoch) <= set(range(1, tally.accepted + 1))


@contextlib.contextmanager
def failing(error: sqlite3.Error, first: int = 1, last: int = 1 << 30, *, after: bool = False) -> Iterator[None]:
    """Statements from the `first` to the `last` fail with `error` from now on; commits `after` they are done."""
    asked = 0

    def faulty(real: Callable[..., Any], statement: str, *values: Any) -> Any:
        nonlocal asked
        asked += 1
        fails = first <= asked <= last
        if fails and not (after and statement == "COMMIT"):
            raise error
        done = real(statement, *values)
        if fails:
            raise error
        return done

    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "executemany", "executescript"):
            real = getattr(Fallible, name)
            patch.setattr(Fallible, name, lambda self, *told, real=real: faulty(functools.partial(real, self), *told))
        yield


class Fallible(sqlite3.Connection):
    """What `failing` reaches: see `fallible`."""


def fallible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases that are opened from now on can be made to fail."""
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Fallible))
