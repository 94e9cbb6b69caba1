"""The chunks of a file, as a table: bytes ↔ value.

Where a file is cut depends on nothing but the bytes around each cut (controlplane.registry.chunking), so two files that
share a stretch share the chunks in it, wherever it lies. A table is a hint, named and proven by nobody: what is put
together by it is proven as a whole, by the digest in the manifest.

    "LSC1"                                         of the way files are cut: tables of two ways have nothing in common
    length (uint32, little endian), SHA-256 (32)   of each chunk, in the order of the file
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from protos.errors import Rejected

LEAST, USUAL, MOST = 8 << 10, 32 << 10, 128 << 10  # bytes of a chunk; the last one may be shorter
SMALLEST_FILE = 256 << 10  # bytes; for less, asking costs about what it saves
_MAGIC = b"LSC1"
_ENTRY = struct.Struct("<I32s")


class Chunk(NamedTuple):
    """Bytes [start, stop) of a file."""

    start: int
    stop: int
    sha256: bytes


def to_bytes(chunks: Iterable[tuple[int, bytes]]) -> bytes:
    """Of (length, SHA-256) each."""
    return _MAGIC + b"".join(_ENTRY.pack(length, sha256) for length, sha256 in chunks)


def is_current(content: bytes) -> bool:
    """Whether this table was made the way that this version makes them."""
    return content.startswith(_MAGIC)


def most_bytes(size: int) -> int:
    """That the table of a file of `size` bytes can have."""
    return len(_MAGIC) + _ENTRY.size * (size // LEAST + 1)


def parse(content: bytes, size: int) -> list[Chunk]:
    """The chunks of a file of `size` bytes.

    Raises:
        Rejected: this is no table of such a file.
    """
    if not is_current(content) or (len(content) - len(_MAGIC)) % _ENTRY.size:
        raise Rejected("this is no table of chunks that this version knows")
    found: list[Chunk] = []
    start = 0
    for length, sha256 in _ENTRY.iter_unpack(content[len(_MAGIC) :]):
        found.append(Chunk(start, start + length, sha256))
        start += length
    short = any(stop - begin < LEAST for (begin, stop, _), _ in pairwise(found))
    if start != size or short or any(not 0 < chunk.stop - chunk.start <= MOST for chunk in found):
        raise Rejected("this table of chunks is of another file")
    return found
