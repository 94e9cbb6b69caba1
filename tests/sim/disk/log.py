"""What the shim wrote down. An entry's fields are told in shim.c."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("<QQQQ")


@dataclass(frozen=True)
class Entry:
    kind: str
    inode: int
    offset: int
    content: bytes

    @property
    def names(self) -> list[str]:
        """Of an entry that makes, removes or renames."""
        return self.content.decode().split("\0")


def entries(path: Path) -> Iterator[Entry]:
    written = path.read_bytes()
    at = 0
    while at < len(written):
        inode, offset, length, kind = _HEAD.unpack_from(written, at)
        at += _HEAD.size
        yield Entry(chr(kind), inode, offset, written[at : at + length])
        at += length
