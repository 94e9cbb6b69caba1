"""Where files are cut: by their content alone, so that what two of them share is cut the same way in both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.registry import chunking
from protos import chunks
from protos.chunks import LEAST, MOST, USUAL
from tests.sim.releases import content

BODY = content("weights", 6_000_000)


def cut(body: bytes) -> list[bytes]:
    return [bytes(chunk) for chunk in chunking.cut([body])]


def test_the_chunks_are_the_file() -> None:
    assert b"".join(cut(BODY)) == BODY
    table = chunks.parse(chunking.table([BODY]), len(BODY))
    assert [chunk.sha256 for chunk in table] == [hashlib.sha256(chunk).digest() for chunk in cut(BODY)]


def test_chunks_have_their_bounds_and_about_their_usual_size() -> None:
    sizes = [len(chunk) for chunk in cut(BODY)]
    assert all(LEAST <= size <= MOST for size in sizes[:-1])
    assert USUAL < sum(sizes) / len(sizes) < 1.3 * USUAL


@pytest.mark.parametrize("size", [0, 1, 31, 32, LEAST, LEAST + 1, MOST, chunking.WINDOW, chunking.WINDOW + 1])
def test_a_file_of_any_size_is_cut(size: int) -> None:
    assert b"".join(cut(BODY[:size])) == BODY[:size]


@pytest.mark.parametrize("byte", [0, 255])
def test_a_file_of_one_byte_again_and_again_has_one_chunk_again_and_again(byte: int) -> None:
    sizes = {len(chunk) for chunk in cut(bytes([byte]) * (16 * MOST))}
    assert sizes in ({MOST}, {LEAST})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 900_000), max_size=12))
def test_how_a_file_comes_does_not_matter(sizes: list[int]) -> None:
    def blocks() -> Iterator[bytes]:
        start = 0
        for size in sizes:
            yield BODY[start : start + size]
            start += size
        yield BODY[start:]

    assert chunking.table(blocks()) == chunking.table([BODY])


@pytest.mark.parametrize("place", [0, 1_000_000, 3_000_001, 5_999_999])
@pytest.mark.parametrize("longer", [0, 1, 5000])
def test_a_change_costs_the_chunks_around_it(place: int, longer: int) -> None:
    """Also where it moves all that comes after it."""
    changed = BODY[:place] + bytes(longer + 1) + BODY[place + 1 :]
    known = set(cut(BODY))
    new = sum(len(chunk) for chunk in cut(changed) if chunk not in known)
    assert new <= 3 * MOST


def test_files_that_share_nothing_share_no_chunk() -> None:
    assert not {*cut(BODY)} & {*cut(content("other weights", 2_000_000))}


def test_the_hash_at_a_byte_is_that_of_the_32_before() -> None:
    hashes = chunking.gear_hashes(BODY[:100])
    for at in (0, 5, 31, 32, 99):
        expected = sum(int(chunking._GEAR[BODY[at - back]]) << back for back in range(min(32, at + 1)))
        assert int(hashes[at]) == expected % (1 << 32)


def test_files_are_cut_the_way_they_were_cut_before() -> None:
    """Tables that are kept, here and on boxes' ways, must fit. Another way of cutting needs another letter."""
    made = hashlib.sha256(chunking.table([BODY])).hexdigest()
    assert (chunking.table([BODY])[:4], made[:16]) == (b"LSC1", "84766c0205b572fb")
