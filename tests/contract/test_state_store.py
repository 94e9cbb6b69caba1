"""One body for every StateStore."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters import state_sqlite
from agent.adapters.state_memory import MemoryState
from agent.adapters.state_sqlite import SqliteState
from agent.errors import DiskFull
from agent.ports import StateStore
from protos import fleet_pb2
from protos.errors import Fatal
from tests.sim import durability, past


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    store = SqliteState(tmp_path / "state.db") if request.param == "sqlite" else MemoryState()
    yield store
    store.close()


def test_what_was_put_is_got(store: StateStore) -> None:
    store.put("desired", b"\x00\xffbytes")
    assert store.get("desired") == b"\x00\xffbytes"


def test_an_absent_key_is_none(store: StateStore) -> None:
    assert store.get("nothing") is None


def test_the_newest_value_wins(store: StateStore) -> None:
    store.put("key", b"old")
    store.put("key", b"")
    assert store.get("key") == b""


def test_deleting_twice_is_no_error(store: StateStore) -> None:
    store.put("key", b"value")
    store.delete("key")
    store.delete("key")
    assert store.get("key") is None


def test_keys_are_listed_by_prefix_in_order(store: StateStore) -> None:
    for key in ("update/b", "update/a", "updates", "desired", "update%"):
        store.put(key, b"")
    assert store.keys("update/") == ["update/a", "update/b"]
    assert store.keys("update%") == ["update%"]
    assert len(store.keys("")) == 5


def test_a_large_value_is_kept_whole(store: StateStore) -> None:
    value = bytes(range(256)) * 8_000
    store.put("large", value)
    assert store.get("large") == value


# ---- what only a durable store can promise ----


def test_values_outlive_the_process(tmp_path: Path) -> None:
    script = (
        "import os,sys;from pathlib import Path;from agent.adapters.state_sqlite import SqliteState;"
        "SqliteState(Path(sys.argv[1])).put('key', b'value');os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state.db")], check=False)
    assert ended.returncode == -9
    store = SqliteState(tmp_path / "state.db")
    assert store.get("key") == b"value"
    store.close()


def test_a_full_disk_is_told_and_the_old_value_stays(tmp_path: Path) -> None:
    store = SqliteState(tmp_path / "state.db")
    store.put("key", b"old")
    store._database().execute("PRAGMA max_page_count = 1")
    with pytest.raises(DiskFull, match="no space left"):
        store.put("key", bytes(100_000))
    assert store.get("key") == b"old"
    store._database().execute("PRAGMA max_page_count = 1000000")
    store.put("key", b"new")
    assert store.get("key") == b"new"
    store.close()


@pytest.mark.parametrize("garbage", [b"this is no database, it is a sentence of some length", b"\x00" * 8192])
def test_a_damaged_database_is_set_aside_and_said(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(garbage)
    store = SqliteState(path)
    assert store.damaged is not None
    assert store.keys("") == []
    store.put("key", b"value")
    assert [found.read_bytes() for found in tmp_path.glob("state.db.damaged-*")] == [garbage]
    store.close()


def test_a_page_torn_in_the_middle_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteState(path)
    for number in range(200):
        store.put(f"key{number}", bytes(500))
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(bytes(content))
    store = SqliteState(path)
    assert store.damaged is not None
    store.close()


def damage(store: SqliteState, path: Path) -> None:
    """The disk under an open database goes bad, and nothing of the file is left in SQLite's memory."""
    store._database().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._database().execute("PRAGMA shrink_memory")
    content = path.read_bytes()
    path.write_bytes(b"?" * len(content))


def test_a_database_damaged_while_it_is_used_is_set_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteState(path)
    for number in range(200):
        store.put(f"key{number}", bytes(500))
    damage(store, path)
    store.put("key7", b"new")
    store.delete("key8")
    assert store.damaged is not None
    store.close()
    store = SqliteState(path)
    assert len(store.keys("key")) == 199
    assert (store.get("key7"), store.get("key9")) == (b"new", bytes(500))
    assert (store.damaged, len(list(tmp_path.glob("state.db.damaged-*")))) == (None, 1)
    store.close()


def test_a_database_damaged_on_a_full_disk_is_whole_again_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    store = SqliteState(path)
    store.put("old", b"value")
    damage(store, path)

    def full(*_: object, on_trial: bool) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(state_sqlite, "_open", full)
        for _ in range(2):
            with pytest.raises(DiskFull):
                store.put("new", b"value")
    store.put("new", b"value")
    store.close()
    store = SqliteState(path)
    assert store.keys("") == ["new", "old"]
    store.close()


def test_a_healthy_database_is_not_set_aside(tmp_path: Path) -> None:
    for _ in range(3):
        store = SqliteState(tmp_path / "state.db")
        assert store.damaged is None
        store.put("key", b"value")
        store.close()


def test_a_directory_that_is_not_there_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="state directory"):
        SqliteState(tmp_path / "missing" / "state.db")


def test_each_put_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = durability.watched(monkeypatch)
    store = SqliteState(tmp_path / "state.db")
    store.put("desired", b"7")
    store.close()
    assert levels == [durability.FULL]


def test_what_a_newer_agent_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {state_sqlite.FORMAT + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(Fatal, match="written by a newer agent"):
        SqliteState(path)
    assert path.read_bytes() == before


def test_what_the_first_release_wrote_is_read_and_claimed(tmp_path: Path) -> None:
    store = SqliteState(past.box(tmp_path / "box") / "state.db")
    assert fleet_pb2.DesiredState.FromString(store.get("desired") or b"").deployments[0].model == "harbour"
    assert store.keys("update/")
    store.close()
    with sqlite3.connect(tmp_path / "box" / "state.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (state_sqlite.FORMAT,)
    database.close()
