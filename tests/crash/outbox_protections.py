"""Takes one protection of the outbox away, inside one process: the proofs on its disk must then turn red."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from agent.adapters import outbox_file
from agent.adapters.outbox_file import Work
from agent.adapters.outbox_refused import RefusedFile


def _level(level: str) -> Callable[[], None]:
    def lower() -> None:
        real = outbox_file.prepare

        def prepare(connection: sqlite3.Connection) -> None:
            real(connection)
            connection.execute(f"PRAGMA synchronous={level}")

        outbox_file.prepare = prepare

    return lower


def _no_bound() -> None:
    """The file may be larger than the volume."""
    outbox_file.VOLUME_SHARE = 10.0


def _no_refused_file() -> None:
    """What was refused is counted in memory only."""
    RefusedFile.write = lambda self: None  # type: ignore[method-assign]  # taken away on purpose


def _no_doubt() -> None:
    """A commit that failed counts as one that is not in the file."""

    def forgetful(self: outbox_file.OutboxFile) -> None:
        limbo, self._limbo = self._limbo, None
        if limbo is not None:
            self._owed.lost.update(limbo.owed.lost)
            self.owe(limbo.work, limbo.reason)

    outbox_file.OutboxFile._leave_limbo = forgetful  # type: ignore[method-assign]  # as above


def _no_rewriting() -> None:
    """What a failed sync left in memory counts as written."""
    real = outbox_file.OutboxFile._failed

    def failed(self: outbox_file.OutboxFile, work: Work, accepted: int, error: Exception) -> None:
        real(self, work, accepted, error)
        self._shaky = False

    outbox_file.OutboxFile._failed = failed  # type: ignore[method-assign]  # as above


_AWAY: dict[str, Callable[[], None]] = {
    "syncing each commit": _level("NORMAL"),
    "syncing at all": _level("OFF"),
    "writing anew what a failed sync left": _no_rewriting,
    "asking whether a failed commit is there": _no_doubt,
    "a bound below the volume": _no_bound,
    "counting beside the database": _no_refused_file,
}
NAMES = tuple(_AWAY)


def take_away(name: str) -> None:
    if name:
        _AWAY[name]()
