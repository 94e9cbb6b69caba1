"""Where a file is cut into chunks, by its content; and the table of them. Pure.

A cut is where the gear hash of the last 32 bytes is small. It is sought from LEAST bytes on, among rare places up to
USUAL and among frequent ones up to MOST: FastCDC's normalised chunking (Xia et al., "FastCDC: a Fast and Efficient
Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016). The hash, Σ gear[byte k before] · 2^k, is
taken of all places of a window at once: sums of 1, 2, 4, … terms, each made of two of the former.

The constants here and the gear are the way files are cut: a change of any is another letter in `protos.chunks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from protos import chunks
from protos.chunks import LEAST, MOST, USUAL

RARE, FREQUENT = 1 << (32 - 17), 1 << (32 - 13)  # what the hash is below: every 128 KiB, every 8 KiB; 37 KiB a chunk
WINDOW = 1 << 20  # bytes that are looked at together
_GEAR = np.frombuffer(hashlib.shake_128(b"longshore chunks 1").digest(1024), "<u4").astype(np.uint32)


def table(blocks: Iterable[bytes]) -> bytes:
    """Of a file that comes in blocks of any size; holds little more than a WINDOW and a block of it."""
    return chunks.to_bytes((len(chunk), hashlib.sha256(chunk).digest()) for chunk in cut(blocks))


def cut(blocks: Iterable[bytes]) -> Iterator[memoryview]:
    """The chunks, one after the other."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) >= WINDOW:
            window = bytes(held)
            ends = _ends(window, len(window) - MOST)
            yield from _between(window, ends)
            held = bytearray(memoryview(window)[ends[-1] :])
    rest = bytes(held)
    yield from _between(rest, _ends(rest, len(rest) - 1))


def _between(window: bytes, ends: list[int]) -> Iterator[memoryview]:
    view, start = memoryview(window), 0
    for end in ends:
        yield view[start:end]
        start = end


def _ends(window: bytes, last: int) -> list[int]:
    """Where the chunks end that begin at `last` at the latest, the first one at 0."""
    hashes = gear_hashes(window)
    frequent = np.flatnonzero(hashes < FREQUENT)
    rare = frequent[hashes[frequent] < RARE]
    ends: list[int] = []
    start = 0
    while start <= last:
        start = _end(start, rare + 1, frequent + 1, len(window))
        ends.append(start)
    return ends


def _end(start: int, rare: NDArray[np.intp], frequent: NDArray[np.intp], size: int) -> int:
    for places, first, beyond in ((rare, start + LEAST, start + USUAL), (frequent, start + USUAL, start + MOST)):
        at = int(np.searchsorted(places, first))
        if at < len(places) and places[at] < beyond:
            return int(places[at])
    return min(start + MOST, size)


def gear_hashes(content: bytes) -> NDArray[np.uint32]:
    """At each byte, of the 32 that end with it, or as many as there are."""
    hashes = _GEAR[np.frombuffer(content, np.uint8)]
    for terms in (1, 2, 4, 8, 16):
        hashes[terms:] += hashes[:-terms] << np.uint32(terms)
    return hashes
