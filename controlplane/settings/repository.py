"""All SQL of the settings, and of what their retention took. Before anybody wrote any, the defaults hold.

Settings say how long records are kept from now on; which ones are gone is said by marks, which whoever deletes records
raises in the same transaction. A retention that was shorter for a while has left its mark.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.fleet.objects import Meta
from controlplane.fleet.rows import meta, meta_columns
from controlplane.settings.domain import NAME, Spec

_RAISE = text(
    "INSERT INTO swept (name, before_ms) VALUES (:name, :before_ms) ON CONFLICT (name)"
    " DO UPDATE SET before_ms = excluded.before_ms WHERE swept.before_ms < excluded.before_ms"
)


class SettingsRepository:
    """Lives inside one transaction of `Database`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def spec(self) -> Spec:
        """Without the rules for what people write: what was taken once must load, whatever they have become."""
        stored = self._session.scalar(select(tables.Settings.spec).where(tables.Settings.name == NAME))
        return Spec() if stored is None else msgspec.convert(stored, Spec)

    def meta(self, *, lock: bool = False) -> Meta | None:
        """None: nobody wrote any."""
        row = self._session.get(tables.Settings, NAME, with_for_update=lock or None)
        return meta(row) if row else None

    def put(self, about: Meta, spec: Spec) -> None:
        """Insert or replace; visible to the next query of this transaction."""
        whole: dict[str, Any] = msgspec.to_builtins(spec)
        self._session.merge(tables.Settings(name=NAME, spec=whole, **meta_columns(about)))
        self._session.flush()

    # ---- what retention took ----

    def note_swept(self, table: str, before_ms: int) -> None:
        """Rows of this table were taken, all of them stored before. Each table has its mark, locked until the commit
        and after the rows themselves, so that two who delete never wait for each other in a ring.
        """
        self._session.execute(_RAISE, {"name": table, "before_ms": before_ms})

    def swept_before_ms(self) -> int:
        """No record that was stored at this moment or later was taken, whatever the retention is and was."""
        return self._session.scalar(select(func.max(tables.Swept.before_ms))) or 0
