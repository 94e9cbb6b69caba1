"""Tables of chunks as bytes: what is none is refused, whoever wrote it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import chunks
from protos.chunks import LEAST, MOST, Chunk
from protos.errors import Rejected

SHA = hashlib.sha256(b"a chunk").digest()
LENGTHS = st.lists(st.integers(LEAST, MOST), max_size=20)


@given(LENGTHS, st.integers(1, MOST))
def test_a_table_is_read_as_it_was_written(lengths: list[int], last: int) -> None:
    every = [*lengths, last]
    content = chunks.to_bytes((length, SHA) for length in every)
    found = chunks.parse(content, sum(every))
    assert [chunk.stop - chunk.start for chunk in found] == every
    assert [chunk.start for chunk in found] == [0, *(chunk.stop for chunk in found)][:-1]
    assert len(content) <= chunks.most_bytes(sum(every))


def test_a_chunk_knows_where_it_lies() -> None:
    content = chunks.to_bytes([(LEAST, SHA), (5, bytes(32))])
    assert chunks.parse(content, LEAST + 5) == [Chunk(0, LEAST, SHA), Chunk(LEAST, LEAST + 5, bytes(32))]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"LSC",
        b"LSC2" + chunks.to_bytes([(LEAST, SHA)])[4:],
        chunks.to_bytes([(LEAST, SHA)])[:-1],
        chunks.to_bytes([(LEAST, SHA)]) + b"!",
        chunks.to_bytes([(LEAST + 1, SHA)]),
        chunks.to_bytes([(LEAST, SHA), (1, SHA)]),
        chunks.to_bytes([(0, SHA), (LEAST, SHA)]),
        chunks.to_bytes([(LEAST - 1, SHA), (1, SHA)]),
        chunks.to_bytes([(LEAST, SHA), (0, SHA)]),
    ],
)
def test_what_is_no_table_of_that_file_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected):
        chunks.parse(content, LEAST)


def test_a_chunk_beyond_the_bound_is_refused() -> None:
    with pytest.raises(Rejected):
        chunks.parse(chunks.to_bytes([(MOST + 1, SHA)]), MOST + 1)
