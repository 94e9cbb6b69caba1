"""Storing telemetry: one transaction for many messages, idempotent, so that it may be repeated at will.

A box that is unknown or deleted is neither stored nor acknowledged: its broker access ends with its certificate, and
when it joins again under its name, what waits in its outbox still comes. Until then it sends a few batches a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.db import Database
from controlplane.ingest import domain
from controlplane.ingest.domain import Batch, Kind, Receipt, receipts
from controlplane.ingest.repository import IngestRepository
from controlplane.partitions.domain import slack_ms
from controlplane.ports import Clock
from controlplane.rollups.domain import outcome_deltas, stat_deltas
from controlplane.rollups.repository import RollupRepository
from controlplane.settings.repository import SettingsRepository
from protos.ids import NodeId

Counted = Callable[[Sequence[Mapping[str, Any]]], None]
SWEEP_ROWS = 2_000  # of each table at a time: some hundredths of a second


@dataclass(frozen=True)
class Stored:
    """What may be acknowledged now, and who was turned away."""

    receipts: tuple[Receipt, ...]
    rows: int
    unknown: frozenset[NodeId]


class IngestService:
    """Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock, counted: Counted = lambda _rows: None) -> None:
        """`counted` is told the rows of outcomes that were stored, each once."""
        self._database = database
        self._clock = clock
        self._counted = counted

    def store(self, batches: Sequence[Batch]) -> Stored:
        """Raises Retryable: the database is away; nothing was stored."""
        nodes = {batch.node for batch in batches}
        if not nodes:
            return Stored((), 0, frozenset())
        with self._database.begin() as session:
            repository = IngestRepository(session)
            known = repository.known(nodes)
            welcome = [batch for batch in batches if batch.node in known]
            by_kind = _by_kind(welcome, self._now())
            new = {kind: repository.put(kind, rows) for kind, rows in by_kind.items()}
            deltas = outcome_deltas(new.get(Kind.OUTCOMES, ())), stat_deltas(new.get(Kind.NODE, ()))
            RollupRepository(session).note(*deltas)
        self._counted(new.get(Kind.OUTCOMES, []))
        stored = sum(len(rows) for rows in by_kind.values())
        return Stored(tuple(receipts(welcome)), stored, frozenset(nodes - known))

    def sweep(self) -> int:
        """Forget a part of what was stored longer ago than the fleet's settings keep it; how many rows, 0 when none is
        left.

        A part, because boxes wait while it holds the write lock. Raises Retryable.
        """
        with self._database.begin() as session:
            kept_ms = domain.retention(SettingsRepository(session).spec())
            if self._database.shared:  # most goes whole, with its part
                kept_ms = {kind: kept + slack_ms(kept) for kind, kept in kept_ms.items()}
            now = self._now()
            return IngestRepository(session).forget({kind: now - kept for kind, kept in kept_ms.items()}, SWEEP_ROWS)

    def _now(self) -> int:
        return int(self._clock.unix() * 1000)


def _by_kind(batches: Sequence[Batch], now: int) -> dict[Kind, list[Mapping[str, Any]]]:
    """Rows for each table; a record that came twice in these batches stands once."""
    found: dict[Kind, dict[tuple[NodeId, str, int], Mapping[str, Any]]] = {}
    for batch in batches:
        for row in batch.rows:
            key = {"node_id": batch.node, "epoch": batch.epoch, "seq": row.seq}
            named = {**row.values, **key, "stored_ms": now}
            found.setdefault(row.kind, {})[batch.node, batch.epoch, row.seq] = named
    return {kind: list(rows.values()) for kind, rows in found.items()}
