"""All SQL of the settings. Before anybody wrote any, the defaults hold."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controlplane import tables
from controlplane.fleet.objects import Meta
from controlplane.fleet.rows import meta, meta_columns
from controlplane.settings.domain import NAME, Spec


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
