"""Use cases of people: who there is, with which role, and which browsers of theirs are signed in.

The first person is whoever may read the control plane's state; it has no row, is an admin, and cannot be removed or
demoted, so that a fleet never locks its owner out. Removing a person ends their sessions and their API tokens in the
same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from controlplane import tables
from controlplane.db import Database
from controlplane.errors import Conflict, NotFound
from controlplane.fleet.changes import Change, Written, created, updated
from controlplane.fleet.objects import Meta
from controlplane.fleet.rows import meta
from controlplane.identity.roles import FIRST, Role
from controlplane.people.repository import PeopleRepository
from controlplane.ports import Clock


@dataclass(frozen=True)
class Person:
    name: str
    role: Role
    meta: Meta
    last_seen_ms: int | None = None
    sessions: int = 0
    api_tokens: int = 0


class PeopleService:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def people(self) -> list[Person]:
        """The first person, then the others by name."""
        with self._database.read() as session:
            repository = PeopleRepository(session, self._now_ms())
            return [_first(repository), *(_person(row, repository) for row in repository.rows())]

    def person(self, name: str) -> Person:
        """Raises NotFound."""
        with self._database.read() as session:
            repository = PeopleRepository(session, self._now_ms())
            return _first(repository) if name == FIRST else _person(_row(repository, name), repository)

    def put(self, wish: Written, role: Role) -> tuple[Person, Change]:
        """Raises Conflict: the first person is wished for with another role, or the write is based on something old."""
        now_ms = self._now_ms()
        with self._database.begin() as session:
            repository = PeopleRepository(session, now_ms)
            if wish.name == FIRST:
                _check_first(role)
                return _first(repository), Change.UNCHANGED
            row = repository.row(wish.name)
            if row is None:
                wished, change = created(wish, str(uuid4()), now_ms), Change.CREATED
            else:
                wished, change = updated(meta(row), wish, spec_changed=row.role != role)
            repository.save(wish.name, role, wished)
            return _person(_row(repository, wish.name), repository), change

    def delete(self, name: str) -> None:
        """With the sessions and API tokens. Raises NotFound, Conflict."""
        with self._database.begin() as session:
            repository = PeopleRepository(session, self._now_ms())
            if name == FIRST:
                raise Conflict(f"{FIRST} is whoever may read the control plane's state, and cannot be removed")
            _row(repository, name)
            repository.delete(name)

    def sessions(self, name: str) -> Sequence[tables.Session]:
        """Newest first. Raises NotFound."""
        self.person(name)
        with self._database.read() as session:
            return PeopleRepository(session, self._now_ms()).sessions(name)

    def end_sessions(self, name: str, session_id: str = "") -> None:
        """All of a person's, or the one. Raises NotFound."""
        self.person(name)
        with self._database.begin() as session:
            ended = PeopleRepository(session, self._now_ms()).end_sessions(name, session_id)
        if session_id and not ended:
            raise NotFound(f"{name} has no session {session_id!r}; it may have ended already")

    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


def _check_first(role: Role) -> None:
    if role is not Role.ADMIN:
        raise Conflict(f"{FIRST} is whoever may read the control plane's state, and stays an admin")


def _row(repository: PeopleRepository, name: str) -> tables.Person:
    row = repository.row(name)
    if row is None:
        raise NotFound(f"there is no person {name!r}; see 'longshore get people'")
    return row


def _person(row: tables.Person, repository: PeopleRepository) -> Person:
    return _seen(Person(row.name, Role(row.role), meta(row)), repository)


def _first(repository: PeopleRepository) -> Person:
    return _seen(Person(FIRST, Role.ADMIN, Meta(uid=FIRST, created_unix_ms=0)), repository)


def _seen(person: Person, repository: PeopleRepository) -> Person:
    last, sessions, api_tokens = repository.seen(person.name)
    return Person(person.name, person.role, person.meta, last, sessions, api_tokens)
