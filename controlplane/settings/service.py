"""Use cases of the settings: look at them, apply them. One transaction each; boxes hear of a change after it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from controlplane.db import Database
from controlplane.errors import NotFound
from controlplane.fleet import changes, envelope
from controlplane.fleet.changes import Change
from controlplane.fleet.envelope import Document
from controlplane.fleet.objects import Meta
from controlplane.fleet.service import Applied
from controlplane.ports import Clock
from controlplane.settings import domain
from controlplane.settings.domain import NAME, Spec
from controlplane.settings.repository import SettingsRepository


class SettingsService:
    """Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each change: what boxes should do may differ now."""
        self._database = database
        self._clock = clock
        self._changed = changed

    def ensure(self) -> None:
        """Settings are there from the first start on."""
        with self._database.begin() as session:
            repository = SettingsRepository(session)
            if repository.meta() is None:
                repository.put(self._new(), Spec())

    def get(self, name: str) -> Document:
        """Raises NotFound."""
        _check_name(name)
        with self._database.read() as session:
            repository = SettingsRepository(session)
            return _document(repository.meta() or self._new(), repository.spec())

    def apply(self, name: str, body: object) -> Applied:
        """Raises Rejected, Conflict, NotFound."""
        wish = changes.written(body, "Settings", name)
        _check_name(name)
        spec = domain.spec(wish.spec)
        with self._database.begin() as session:
            repository = SettingsRepository(session)
            stored = repository.meta(lock=True) or self._new()
            meta, change = changes.updated(stored, wish, spec_changed=spec != repository.spec())
            if change is not Change.UNCHANGED:
                repository.put(meta, spec)
        if change is not Change.UNCHANGED:
            self._changed()
        return Applied(self.get(name), change)

    def _new(self) -> Meta:
        return Meta(uid=str(uuid4()), created_unix_ms=int(self._clock.unix() * 1000))


def _check_name(name: str) -> None:
    if name != NAME:
        raise NotFound(f"there are no settings {name!r}; there is one object, {NAME!r}")


def _document(meta: Meta, spec: Spec) -> Document:
    return envelope.document("Settings", NAME, meta, domain.document(spec), {})
