"""The contract of controlplane.ports.BlobStore, for every adapter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.adapters.blob_fs import FolderBlobStore
from controlplane.adapters.blob_memory import MemoryBlobStore
from controlplane.errors import NotFound
from controlplane.ports import BlobStore
from protos.errors import Rejected, Retryable
from protos.ids import Digest, digest_of, hex_of
from tests.sim.clock import FakeClock
from tests.sim.releases import content

CONTENT = content("blob", 2_500_000)
DIGEST = digest_of(CONTENT)
LONG_AGO, FAR = 1_000_000_000.0, 4_000_000_000.0  # Unix seconds before and after any clock here
Make = Callable[[Path, FakeClock], BlobStore]
MAKERS: dict[str, Make] = {
    "folder": lambda folder, _: FolderBlobStore(folder),
    "memory": lambda _, clock: MemoryBlobStore(clock),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> BlobStore:
    return MAKERS[request.param](tmp_path, clock)


def put(store: BlobStore, body: bytes = CONTENT, upload: str = "u1") -> Digest:
    with store.stage(upload) as staging:
        staging.write(body[staging.offset :])
        staging.commit(digest_of(body))
    return digest_of(body)


def whole(store: BlobStore, digest: Digest = DIGEST) -> bytes:
    return b"".join(store.read(digest))


def test_what_was_committed_is_read_back(store: BlobStore) -> None:
    put(store)
    assert store.size(DIGEST) == len(CONTENT)
    assert whole(store) == CONTENT


def test_nothing_is_readable_before_the_commit(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(CONTENT)
        assert store.size(DIGEST) is None
        with pytest.raises(NotFound):
            store.read(DIGEST)


def test_a_staging_is_resumed_where_it_stood(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(CONTENT[:1000])
    assert store.staged("u1") == 1000
    with store.stage("u1") as staging:
        assert staging.offset == 1000
        staging.write(CONTENT[1000:])
        staging.commit(DIGEST)
    assert whole(store) == CONTENT
    assert store.staged("u1") == 0


def test_a_block_left_by_an_error_keeps_what_was_written(store: BlobStore) -> None:
    def fail() -> None:
        with store.stage("u1") as staging:
            staging.write(CONTENT[:1000])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.staged("u1") == 1000


def test_bytes_of_another_digest_are_refused_and_thrown_away(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(b"something else")
        with pytest.raises(Rejected, match="push again"):
            staging.commit(DIGEST)
    assert store.size(DIGEST) is None
    assert store.staged("u1") == 0


def test_only_one_may_write_to_a_staging(store: BlobStore) -> None:
    with store.stage("u1"):
        with pytest.raises(Retryable), store.stage("u1"):
            pass
        with store.stage("u2") as other:
            other.write(b"x")
    with store.stage("u1") as staging:
        assert staging.offset == 0


def test_a_staging_s_length_is_known_while_somebody_writes(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(b"abc")
        assert store.staged("u1") == 3


def test_a_discarded_staging_begins_at_nothing(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(b"abc")
    store.discard("u1")
    store.discard("u1")
    assert store.staged("u1") == 0


def test_two_stagings_of_one_content_end_in_one_blob(store: BlobStore) -> None:
    put(store, upload="u1")
    put(store, upload="u2")
    assert [digest for digest, _ in store.stored()] == [DIGEST]


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    digest = put(store, b"")
    assert store.size(digest) == 0
    assert whole(store, digest) == b""


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, None), (5, None), (0, 5), (1_048_570, 1_048_590), (2_499_999, None), (7, 7), (9, 99_999_999)],
)
def test_any_span_is_read_in_bounded_pieces(store: BlobStore, start: int, stop: int | None) -> None:
    put(store)
    pieces = list(store.read(DIGEST, start, stop))
    assert b"".join(pieces) == CONTENT[start:stop]
    assert all(0 < len(piece) <= 1 << 20 for piece in pieces)


def test_a_deleted_blob_is_gone_and_a_reader_that_began_may_finish(store: BlobStore) -> None:
    put(store)
    reader = store.read(DIGEST)
    first = next(reader)
    store.delete(DIGEST)
    store.delete(DIGEST)
    assert store.size(DIGEST) is None
    assert first + b"".join(reader) == CONTENT


def test_a_staging_is_given_up_by_the_time_of_its_last_write(store: BlobStore) -> None:
    with store.stage("u1") as staging:
        staging.write(b"abc")
        assert not store.give_up("u1", FAR)  # somebody sends it right now
    assert list(store.stagings()) == ["u1"]
    assert not store.give_up("u1", LONG_AGO)
    assert store.staged("u1") == 3
    assert store.give_up("u1", FAR)
    assert store.give_up("u1", FAR)
    assert (store.staged("u1"), list(store.stagings())) == (0, [])


def test_a_refreshed_blob_counts_as_stored_now(store: BlobStore, tmp_path: Path, clock: FakeClock) -> None:
    put(store)
    if isinstance(store, FolderBlobStore):
        os.utime(tmp_path / "sha256" / hex_of(DIGEST), (LONG_AGO, LONG_AGO))
    ((_, first),) = store.stored()
    clock.tick(5)
    assert store.refresh(DIGEST)
    ((_, second),) = store.stored()
    assert second > first
    store.delete(DIGEST)
    assert not store.refresh(DIGEST)


def test_blobs_are_listed_with_the_time_they_were_stored(store: BlobStore) -> None:
    put(store, b"a", "u1")
    put(store, b"b", "u2")
    listed = dict(store.stored())
    assert set(listed) == {digest_of(b"a"), digest_of(b"b")}
    assert all(stored > 1_700_000_000 for stored in listed.values())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6), reopen=st.booleans())
def test_any_way_of_cutting_gives_the_same_blob(tmp_path: Path, cuts: list[int], *, reopen: bool) -> None:
    body = CONTENT[:5000]
    store = FolderBlobStore(tmp_path)
    for stop in [*sorted(cuts), len(body)]:
        store = FolderBlobStore(tmp_path) if reopen else store  # a restart between two requests
        with store.stage("u1") as staging:
            staging.write(body[staging.offset : stop])
    with store.stage("u1") as staging:
        staging.commit(digest_of(body))
    assert whole(store, digest_of(body)) == body
    store.delete(digest_of(body))


# ---- what only a folder can get wrong ----


def test_a_new_process_resumes_what_the_old_one_left(tmp_path: Path) -> None:
    with FolderBlobStore(tmp_path).stage("u1") as staging:
        staging.write(CONTENT[:1_500_000])
    put(FolderBlobStore(tmp_path))
    assert whole(FolderBlobStore(tmp_path)) == CONTENT


def test_a_part_that_grew_or_shrank_behind_our_back_is_hashed_as_it_is(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    with store.stage("u1") as staging:
        staging.write(CONTENT[:1000])
    part = tmp_path / "staging" / "u1.part"
    part.write_bytes(CONTENT[:500])  # a power cut lost the tail
    put(store)
    assert whole(store) == CONTENT


def test_a_blob_is_as_old_as_its_commit_though_its_bytes_came_before(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    with store.stage("u1") as staging:
        staging.write(CONTENT)
    os.utime(tmp_path / "staging" / "u1.part", (LONG_AGO, LONG_AGO))
    put(store)
    ((_, stored),) = store.stored()
    assert stored > LONG_AGO


def test_what_bears_no_digest_s_name_is_left_alone(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    (tmp_path / "sha256" / "lost+found").mkdir()
    assert list(store.stored()) == []


def test_a_part_that_another_request_ended_is_to_be_pushed_again(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    with store.stage("u1") as staging:
        staging.write(CONTENT)
        store.discard("u1")
        with pytest.raises(Retryable, match="push again"):
            staging.commit(DIGEST)


def test_a_full_disk_is_told_and_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import controlplane.adapters.blob_fs as module

    def full(file: object, chunk: bytes) -> None:
        getattr(file, "write")(chunk[:10])  # noqa: B009 - a part of it still fits
        raise OSError(28, "No space left on device")

    store = FolderBlobStore(tmp_path)
    with store.stage("u1") as staging:
        staging.write(CONTENT[:1000])
        with monkeypatch.context() as patched:
            patched.setattr(module, "_write_all", full)
            with pytest.raises(Retryable, match="disk is full"):
                staging.write(CONTENT[1000:2000])
        assert staging.offset == 1000
        staging.write(CONTENT[1000:])
        staging.commit(DIGEST)
    assert whole(store) == CONTENT


def test_a_table_is_kept_beside_its_blob_and_goes_with_it(store: BlobStore) -> None:
    put(store)
    assert store.table(DIGEST) is None
    store.keep_table(DIGEST, b"a table")
    store.keep_table(DIGEST, b"another table")
    assert store.table(DIGEST) == b"another table"
    assert [digest for digest, _ in store.stored()] == [DIGEST]
    store.delete(DIGEST)
    put(store)
    assert store.table(DIGEST) is None


def test_no_table_outlives_a_blob_that_went_while_it_was_made(store: BlobStore) -> None:
    store.keep_table(DIGEST, b"a table")
    assert store.table(DIGEST) is None
