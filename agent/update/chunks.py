"""What of a file is copied from files that are here, and what is fetched. Pure: tables of chunks in, pieces out.

Tables are hints (protos.chunks). A copy names the hash that its bytes must have; the file is proven as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from protos.chunks import SMALLEST_FILE, Chunk
from protos.ids import Digest, ModelName
from protos.manifest import FileEntry, Manifest

MOST_NEAR = 3  # files that one is compared with, each at the cost of its table: a thousandth of its size
WORTH = 16 << 10  # bytes in a row; for less, another request costs about what it saves


@dataclass(frozen=True)
class Place:
    """Bytes [start, stop) of a file that is here, by its table."""

    file: Digest
    start: int
    stop: int


@dataclass(frozen=True)
class Copy:
    """A chunk of the wanted file, from its byte `start` on: the first may be there in part."""

    chunk: Chunk
    place: Place
    start: int


@dataclass(frozen=True)
class Fetch:
    """Bytes [start, stop) of the wanted file."""

    start: int
    stop: int


Piece = Copy | Fetch


def near(wanted: FileEntry, name: ModelName, here: Iterable[Manifest]) -> list[Digest]:
    """Files of these releases in which most of `wanted` is likely to be, best first.

    The same file of the same model, then any of it, then the same of others; the nearest in size among them.
    """
    found = [
        ((described.name != name, entry.path != wanted.path, abs(entry.size - wanted.size)), entry.digest)
        for described in here
        for entry in described.files
        if entry.size >= SMALLEST_FILE and entry.digest != wanted.digest
    ]
    return list(dict.fromkeys(digest for _, digest in sorted(found)))[:MOST_NEAR]


def places(tables: Iterable[tuple[Digest, Iterable[Chunk]]]) -> dict[bytes, Place]:
    """Where each chunk is, by its SHA-256; in the first file that has it."""
    found: dict[bytes, Place] = {}
    for file, chunks in tables:
        for start, stop, sha256 in chunks:
            found.setdefault(sha256, Place(file, start, stop))
    return found


def plan(wanted: Sequence[Chunk], here: Mapping[bytes, Place], there: int) -> list[Piece]:
    """How the file comes to its end, in order, where its first `there` bytes are staged already."""
    pieces: list[Piece] = []
    for is_here, run in groupby((chunk for chunk in wanted if chunk.stop > there), lambda chunk: chunk.sha256 in here):
        row = list(run)
        start, stop = max(there, row[0].start), row[-1].stop
        if is_here and stop - start >= WORTH:
            pieces += [Copy(chunk, here[chunk.sha256], max(there, chunk.start)) for chunk in row]
        elif pieces and isinstance(pieces[-1], Fetch):
            pieces[-1] = Fetch(pieces[-1].start, stop)
        else:
            pieces.append(Fetch(start, stop))
    return pieces
