"""What of a file is copied from files that are here, and what is fetched."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update import chunks
from agent.update.chunks import MOST_NEAR, WORTH, Copy, Fetch, Piece, Place
from protos.chunks import SMALLEST_FILE, Chunk
from protos.ids import Digest, ModelName, Version, digest_of
from protos.manifest import FileEntry, Manifest

SIZE = 10_000  # bytes of a chunk here
OLD = digest_of(b"old")


def table(names: Iterable[str]) -> list[Chunk]:
    """One chunk for each letter."""
    return [Chunk(at * SIZE, (at + 1) * SIZE, name.encode()) for at, name in enumerate(names)]


def planned(wanted: str, here: str, there: int = 0) -> list[Piece]:
    return chunks.plan(table(wanted), chunks.places([(OLD, table(here))]), there)


def copied(wanted: str, at: int, place: int, start: int | None = None) -> Copy:
    chunk = table(wanted)[at]
    return Copy(chunk, Place(OLD, place * SIZE, (place + 1) * SIZE), chunk.start if start is None else start)


def test_what_is_here_is_copied_from_wherever_it_lies() -> None:
    assert planned("abc", "xbac") == [copied("abc", 0, 2), copied("abc", 1, 1), copied("abc", 2, 3)]


def test_neighbours_that_are_missing_come_in_one_range() -> None:
    assert planned("abxyzcd", "abcd") == [
        copied("abxyzcd", 0, 0),
        copied("abxyzcd", 1, 1),
        Fetch(2 * SIZE, 5 * SIZE),
        copied("abxyzcd", 5, 2),
        copied("abxyzcd", 6, 3),
    ]


def test_a_little_that_is_here_is_fetched_with_its_neighbours() -> None:
    assert SIZE < WORTH
    assert planned("xaybc", "abc")[0] == Fetch(0, 3 * SIZE)


def test_a_file_that_shares_nothing_is_fetched_in_one_go() -> None:
    assert planned("xyz", "abc") == [Fetch(0, 3 * SIZE)]


def test_what_is_staged_is_neither_copied_nor_fetched() -> None:
    half = 5 * SIZE // 2
    assert planned("xyz", "abc", half) == [Fetch(half, 3 * SIZE)]
    assert planned("abcde", "abcde", half)[0] == copied("abcde", 2, 2, start=half)
    assert planned("abc", "abc", 3 * SIZE) == []


@given(st.text("abcdef", max_size=30), st.text("abcxyz", max_size=30), st.integers(0, 30 * SIZE))
def test_a_plan_goes_from_what_is_staged_to_the_end_without_a_gap(wanted: str, here: str, there: int) -> None:
    pieces = planned(wanted, here, there)
    at = there
    for piece in pieces:
        assert piece.start == at
        at = piece.stop if isinstance(piece, Fetch) else piece.chunk.stop
    assert at == max(there, len(wanted) * SIZE)


def described(name: str, **sizes: int) -> Manifest:
    files = tuple(FileEntry(path, digest_of(f"{name} {path}".encode()), size) for path, size in sizes.items())
    return Manifest(ModelName(name), Version("1.0.0"), "tensor", None, (), (), files)


def nearest(wanted: FileEntry, *here: Manifest) -> list[Digest]:
    return chunks.near(wanted, ModelName("harbour"), here)


def of(name: str, path: str) -> Digest:
    return digest_of(f"{name} {path}".encode())


def test_the_same_file_of_the_same_model_is_nearest() -> None:
    wanted = FileEntry("model", digest_of(b"new"), 4 * SMALLEST_FILE)
    ours = described("harbour", model=SMALLEST_FILE, half=4 * SMALLEST_FILE)
    theirs = described("yard", model=4 * SMALLEST_FILE, other=4 * SMALLEST_FILE)
    assert nearest(wanted, theirs, ours) == [of("harbour", "model"), of("harbour", "half"), of("yard", "model")]


def test_few_files_are_compared_with_and_none_that_has_no_table() -> None:
    wanted = FileEntry("model", digest_of(b"new"), SMALLEST_FILE)
    many = described("harbour", **{f"file{at}": SMALLEST_FILE + at for at in range(2 * MOST_NEAR)})
    assert nearest(wanted, many) == [of("harbour", f"file{at}") for at in range(MOST_NEAR)]
    assert nearest(wanted, described("harbour", model=SMALLEST_FILE - 1)) == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_file_is_compared_with_another_once_and_never_with_itself(count: int) -> None:
    here = [described("harbour", model=SMALLEST_FILE)] * count
    assert nearest(FileEntry("model", digest_of(b"new"), SMALLEST_FILE), *here) == [of("harbour", "model")]
    assert nearest(FileEntry("model", of("harbour", "model"), SMALLEST_FILE), *here) == []
