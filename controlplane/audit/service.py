"""Use cases of the audit: write an entry down, show the newest, forget what is over a year old."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from controlplane import tables
from controlplane.audit import domain
from controlplane.audit.domain import Entry
from controlplane.audit.repository import AuditRepository
from controlplane.db import Database
from controlplane.identity.service import User
from controlplane.ports import Clock
from protos.errors import LongshoreError

log = logging.getLogger(__name__)


class AuditService:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, user: User, verb: str, changed: str) -> None:
        """After the change was taken. What cannot be stored goes to the log: the change stands either way."""
        entry = Entry(self.now_ms, user.who, user.name, user.role.value, verb, changed)
        try:
            with self._database.begin() as session:
                AuditRepository(session).add(entry)
        except LongshoreError as error:
            log.error("not in the audit (%s): %s", error, entry)

    def newest(self, since_ms: int, who: str, limit: int) -> Sequence[tables.AuditEntry]:
        with self._database.read() as session:
            return AuditRepository(session).newest(since_ms, who, limit)

    def between(self, since_ms: int, until_ms: int, limit: int) -> Sequence[tables.AuditEntry]:
        with self._database.read() as session:
            return AuditRepository(session).between(since_ms, until_ms, limit)

    def sweep(self) -> None:
        """Raises Retryable."""
        with self._database.begin() as session:
            AuditRepository(session).forget(self.now_ms - domain.KEEP_MS)

    @property
    def now_ms(self) -> int:
        return int(self._clock.unix() * 1000)
