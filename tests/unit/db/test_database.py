"""Transactions: all or nothing, one writer at a time on SQLite, vendor errors translated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from controlplane import db
from controlplane.db import Database, Turns, disk_full
from controlplane.errors import Conflict
from controlplane.migrations.migrate import migrate
from controlplane.tables import Model, Release
from protos.errors import Fatal, Retryable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'folder' / 'longshore.db'}")
    migrate(database)
    yield database
    database.close()


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(sqlalchemy.select(Model.name).order_by(Model.name)))


def test_a_block_that_ends_well_is_stored(database: Database) -> None:
    with database.begin() as session:
        session.add(Model(name="a", created_ms=1))
    assert names(database) == ["a"]


def test_a_block_that_raises_stores_nothing(database: Database) -> None:
    def fail() -> None:
        with database.begin() as session:
            session.add(Model(name="a", created_ms=1))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(database) == []


def test_a_read_stores_nothing(database: Database) -> None:
    with database.read() as session:
        session.add(Model(name="a", created_ms=1))
        session.flush()
    assert names(database) == []


def test_two_of_one_name_are_a_conflict_in_our_words(database: Database) -> None:
    with database.begin() as session:
        session.add(Model(name="a", created_ms=1))
    with pytest.raises(Conflict, match="same moment"), database.begin() as session:
        session.add(Model(name="a", created_ms=2))


def test_foreign_keys_hold_on_sqlite_too(database: Database) -> None:
    row = Release(name="a-1", model="a", version="1", digest="d", manifest=b"", task="tensor", created_ms=1)
    with pytest.raises(Conflict), database.begin() as session:
        session.add(row)


def test_threads_that_read_and_then_write_wait_for_each_other(database: Database) -> None:
    with database.begin() as session:
        session.add(Model(name="a", created_ms=0))
    start = threading.Barrier(8)

    def count_up() -> None:
        start.wait()
        for _ in range(10):
            with database.begin() as session:
                row = session.get_one(Model, "a")
                row.created_ms += 1

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(Model, "a").created_ms == 80


def test_a_writer_waits_its_turn_where_sqlite_would_have_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    database = Database(f"sqlite:///{tmp_path / 'longshore.db'}")
    migrate(database)
    writes, done = threading.Event(), threading.Event()

    def write() -> None:
        writes.set()
        with database.begin() as session:
            session.add(Model(name="second", created_ms=2))
        done.set()

    thread = threading.Thread(target=write)
    with database.begin() as session:
        session.add(Model(name="first", created_ms=1))
        session.flush()
        thread.start()
        writes.wait()
        assert not done.wait(0.05)
    thread.join()
    assert names(database) == ["first", "second"]
    database.close()


def test_writers_get_their_turn_in_the_order_in_which_they_came() -> None:
    turns, order, threads = Turns(), list[int](), list[threading.Thread]()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(20):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turns) < 2 + number:
                pass
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_who_waits_too_long_for_his_turn_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "TURN_SECONDS", 0.0)
    turns = Turns()
    with turns, pytest.raises(Retryable, match="nothing of this was, try again"), turns:
        pass
    with turns:
        assert len(turns) == 1


def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    with database.begin() as session:
        session.add(Model(name="a", created_ms=1))
        session.flush()
        assert names(database) == []


def test_sqlite_is_set_up_to_survive_a_power_cut(database: Database) -> None:
    with database.read() as session:
        found = [session.scalar(sqlalchemy.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]


def test_a_server_that_is_away_is_worth_another_try() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Retryable, match="try again"):
        database.ping()
    database.close()


@pytest.mark.postgres
@pytest.mark.parametrize(("own", "path"), [("", '"$user", public'), ("?options=-c%20search_path%3Dpublic", "public")])
def test_postgresql_compiles_no_questions_whatever_else_the_url_asks_of_it(
    postgres_url: str, own: str, path: str
) -> None:
    database = Database(postgres_url + own)
    with database.read() as session:
        shown = [session.scalar(sqlalchemy.text(f"SHOW {name}")) for name in ("jit", "search_path")]
    database.close()
    assert shown == ["off", path]


@pytest.mark.parametrize("pages", [2, 8, 60])
def test_a_full_disk_is_told_as_that_when_the_database_is_made(tmp_path: Path, pages: int) -> None:
    database = Database(f"sqlite:///{tmp_path / 'longshore.db'}")
    _leave_no_room(database, pages)
    with pytest.raises(Retryable, match=r"^the database's disk is full; make room there, then start again$"):
        migrate(database)
    database.close()


def test_a_full_disk_is_told_as_that_when_something_is_stored(database: Database) -> None:
    database.engine.dispose()  # connections that know no bound
    _leave_no_room(database, 1)
    many = [Model(name=f"a{number}", created_ms=1) for number in range(2_000)]
    with pytest.raises(Retryable, match="disk is full; nothing was stored, make room"), database.begin() as session:
        session.add_all(many)
    assert names(database) == []


def test_a_full_disk_of_postgresql_is_one_as_well() -> None:
    assert disk_full(OperationalError("INSERT", {}, psycopg.errors.DiskFull("could not extend file")))
    assert not disk_full(OperationalError("INSERT", {}, psycopg.errors.AdminShutdown("terminating connection")))


def _leave_no_room(database: Database, pages: int) -> None:
    """SQLite says the same at a bound of its own as on a disk that is full."""
    event.listen(database.engine, "connect", lambda to, _: to.execute(f"PRAGMA max_page_count={pages}"))


def test_a_failed_statement_never_shows_in_the_sentence(database: Database) -> None:
    with pytest.raises(Retryable) as refused, database.begin() as session:
        session.execute(sqlalchemy.text("SELECT secret FROM nowhere"))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://x/y", "oracle+nothing://x"])
def test_a_url_of_another_kind_is_refused_with_the_two_that_work(url: str) -> None:
    with pytest.raises(Fatal, match="sqlite:///path or postgresql"):
        Database(url)
