"""From what was stored to its minutes and hours, and what becomes of them: all that keeps telemetry small.

`roll` and `sweep` may be called at any time, by several control planes at once, and may die at any point: each does a
part of its work in one transaction. Both raise Retryable when the database is away.
"""

from __future__ import annotations

from controlplane.db import Database
from controlplane.partitions import domain as partitions
from controlplane.partitions.domain import Parted
from controlplane.partitions.repository import PartitionRepository
from controlplane.ports import Clock
from controlplane.rollups import domain
from controlplane.rollups.domain import ROLLED, Kept, Level
from controlplane.rollups.repository import RollupRepository, read
from controlplane.settings.domain import Spec
from controlplane.settings.repository import SettingsRepository

ROLL_NOTES = 5_000  # of one transaction: some tenths of a second, for who wants to store waits on SQLite
ROLL_MANY = 50_000  # where nobody waits: of many cameras only many notes have one step in common
SWEEP_ROWS = 2_000  # of each table at a time


class RollupService:
    """Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @property
    def most(self) -> int:
        """Notes that `roll` takes at once."""
        return ROLL_MANY if self._database.shared else ROLL_NOTES

    def roll(self) -> int:
        """Add a part of what waits to its steps; how many notes, 0 when none waits or somebody else is at it."""
        with self._database.begin() as session:
            repository = RollupRepository(session)
            notes = repository.take(self.most) if repository.alone() else []
            outcomes, stats = read(notes)
            for level in ROLLED:
                repository.add_outcomes(level, domain.outcomes_by(level, outcomes))
                repository.add_stats(level, domain.stats_by(level, stats))
        return len(notes)

    def prepare(self) -> None:
        """Parts of tables ahead of their time, and those away whose time is over."""
        if not self._database.shared:
            return
        for tables, kept_ms in _parted(self._kept()):
            for table in tables:
                self._part(table, kept_ms)

    def sweep(self) -> int:
        """Forget a part of the steps that are older than the settings keep them; how many, 0 when none is left."""
        kept = kept_of(self._kept())
        with self._database.begin() as session:
            repository = RollupRepository(session)
            return sum(repository.forget(level, self._oldest(kept.of(level)), SWEEP_ROWS) for level in ROLLED)

    def _part(self, table: Parted, kept_ms: int) -> None:
        """One transaction for each table: locks are held for moments."""
        with self._database.begin() as session:
            repository = PartitionRepository(session)
            if not repository.alone():
                return
            plan = partitions.plan(table, repository.parts(table), self._now(), kept_ms)
            for part in plan.drop:
                repository.drop(table, part, self._now() - kept_ms)
            for part in plan.make:
                repository.make(table, part)

    def _oldest(self, kept_ms: int) -> int:
        slack_ms = partitions.slack_ms(kept_ms) if self._database.shared else 0
        return self._now() - kept_ms - slack_ms

    def _kept(self) -> Spec:
        with self._database.read() as session:
            return SettingsRepository(session).spec()

    def _now(self) -> int:
        return int(self._clock.unix() * 1000)


def kept_of(spec: Spec) -> Kept:
    return Kept(spec.telemetry_retention_ms, spec.minutes_retention_ms, spec.hours_retention_ms)


def _parted(spec: Spec) -> list[tuple[tuple[Parted, ...], int]]:
    kept = kept_of(spec)
    return [
        ((partitions.DETECTIONS,), spec.detections_retention_ms),
        (partitions.RECORDS, kept.of(Level.RAW)),
        (partitions.MINUTES, kept.of(Level.MINUTE)),
        (partitions.HOURS, kept.of(Level.HOUR)),
    ]
