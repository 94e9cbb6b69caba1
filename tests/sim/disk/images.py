"""What a disk may hold after the power went: images at every entry of a log. Pure.

A sector (512 bytes) is written whole or not; which of the un-synced ones arrived, and in which of their versions, is
chance. Sizes and names change in order, and count for sure once their file or the folder is synced. A file whose sync
failed is as Linux leaves it: what was written before counts as written, so no later sync brings it to the disk; only
writing the same page again does.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from tests.sim.disk.log import Entry

SECTOR = 512
PAGE = 4096  # of the page cache
QUIET = "N"  # entries that change nothing
Files = dict[str, bytes]


@dataclass
class _File:
    synced: bytes = b""
    cached: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)  # since the last sync
    lost: set[int] = field(default_factory=set)  # pages of a sync that failed, not written since

    def write(self, entry: Entry) -> None:
        _write(self.cached, entry.offset, entry.content)
        self.lost -= _pages(entry)
        if entry.kind == "M":  # stores come by the thousand and are hardly ever synced: the newest stands for all
            self.pending = [each for each in self.pending if each.kind != "M" or each.offset != entry.offset]
        self.pending.append(entry)

    def resize(self, entry: Entry) -> None:
        _resize(self.cached, entry.offset)
        self.pending.append(entry)

    def sync(self) -> None:
        kept = bytearray(self.cached)
        for page in self.lost:
            old = self.synced[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
            kept[page * PAGE : (page + 1) * PAGE] = old[: max(0, len(kept) - page * PAGE)]
        self.synced, self.pending = bytes(kept), []

    def fail(self) -> None:
        for entry in self.pending:
            self.lost |= _pages(entry)

    def torn(self, kept: Callable[[int, int], bool]) -> bytes:
        """`kept`: of the pending entry with this index, does the piece in this sector arrive? -1: its size."""
        found = bytearray(self.synced)
        for index, entry in enumerate(self.pending):
            if entry.kind == "T":
                if kept(index, -1):
                    _resize(found, entry.offset)
                continue
            for sector, start, end in _pieces(entry):
                if kept(index, sector):
                    _write(found, entry.offset + start, entry.content[start:end])
        return bytes(found)


@dataclass(frozen=True)
class Image:
    """`notes`: how many the process had made by then."""

    entry: int
    name: str
    files: Files
    notes: int


@dataclass
class Disk:
    """Fed with the entries of a log in order; at each of them, the images a power cut may leave."""

    seed: int
    _inodes: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, _File] = field(default_factory=dict)
    _synced_names: dict[str, _File] = field(default_factory=dict)
    _steps: list[dict[str, _File]] = field(default_factory=list)  # the folder as it was, since it was synced
    _seen: set[tuple[bytes, int]] = field(default_factory=set)
    notes: list[object] = field(default_factory=list)
    count: int = 0  # of entries at which the power may go

    def take(self, entry: Entry) -> None:
        if entry.kind == "N":
            self.notes.append(msgspec.json.decode(entry.content))
            return
        self.count += 1
        if entry.kind in "CURD":
            self._rename(entry)
            return
        file = self._inodes.setdefault(entry.inode, _File())
        match entry.kind:
            case "S":
                file.sync()
            case "F":
                file.fail()
            case "T":
                file.resize(entry)
            case _:
                file.write(entry)

    def live(self) -> Files:
        """What the process itself sees."""
        return {name: bytes(file.cached) for name, file in self._names.items()}

    def images(self) -> Iterator[Image]:
        """Each that was not there before, with as many notes."""
        rng = random.Random(f"{self.seed} {self.count}")
        names = rng.choice([self._synced_names, *self._steps])
        chances = {name: _chance(file, rng) for name, file in names.items()}
        for kind, files in (
            ("synced", {name: file.synced for name, file in self._synced_names.items()}),
            ("written", {name: file.torn(lambda *_: True) for name, file in self._names.items()}),
            ("torn", {name: file.torn(_last_torn(file, rng)) for name, file in self._names.items()}),
            ("shuffled", {name: file.torn(chances[name]) for name, file in names.items()}),
        ):
            key = (_digest(files), len(self.notes))
            if key not in self._seen:
                self._seen.add(key)
                yield Image(self.count, kind, files, len(self.notes))

    def _rename(self, entry: Entry) -> None:
        match entry.kind:
            case "C":
                self._inodes[entry.inode] = self._names[entry.names[0]] = _File()
            case "U":
                del self._names[entry.names[0]]
            case "R":
                self._names[entry.names[1]] = self._names.pop(entry.names[0])
            case "D":
                self._synced_names, self._steps = dict(self._names), []
                return
        self._steps.append(dict(self._names))


def _chance(file: _File, rng: random.Random) -> Callable[[int, int], bool]:
    """Each sector in one of its versions, each size up to one of them."""
    last: dict[int, int] = {}

    def kept(index: int, sector: int) -> bool:
        if sector not in last:
            last[sector] = rng.randrange(len(file.pending) + 1)
        return index < last[sector]

    return kept


def _last_torn(file: _File, rng: random.Random) -> Callable[[int, int], bool]:
    """All of it but some sectors of the last write."""
    last = len(file.pending) - 1
    return lambda index, sector: index < last or sector == -1 or rng.random() < 0.5


def _pieces(entry: Entry) -> Iterator[tuple[int, int, int]]:
    """Sector, and the part of the content that lies in it."""
    start = 0
    while start < len(entry.content):
        sector = (entry.offset + start) // SECTOR
        end = min(len(entry.content), (sector + 1) * SECTOR - entry.offset)
        yield sector, start, end
        start = end


def _pages(entry: Entry) -> set[int]:
    if entry.kind == "T":
        return set()
    return set(range(entry.offset // PAGE, (entry.offset + len(entry.content) - 1) // PAGE + 1))


def _write(content: bytearray, offset: int, piece: bytes) -> None:
    if len(content) < offset:
        _resize(content, offset)
    content[offset : offset + len(piece)] = piece


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _digest(files: Files) -> bytes:
    """Of all but SQLite's index of the log: it is made again by whoever opens the database first."""
    made = hashlib.blake2b(digest_size=16)
    for name, content in sorted(files.items()):
        if not name.endswith("-shm"):
            made.update(f"{name} {len(content)} ".encode() + content)
    return made.digest()
