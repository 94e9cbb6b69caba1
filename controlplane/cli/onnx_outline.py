"""An ONNX file without its weights: the same protobuf message with the numbers of its tensors left out.

What a graph takes and gives is a few kilobytes of a file of gigabytes, and a parser holds all of what it is given. So
the file is walked field by field (https://protobuf.dev/programming-guides/encoding), the payload of each larger tensor
is skipped by seeking, and what is left is for the parser. No file is held in memory, whatever its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from protos.errors import Rejected

MAX_BYTES = 64 << 20  # of the outline: beyond it the file is large for another reason than its weights
MAX_DEPTH = 100  # as in protobuf's own parsers
WHOLE_BYTES = 64 << 10  # a message up to this is kept as it is: its weights matter less than the time to find them
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10


@dataclass(frozen=True)
class _Shape:
    """Of a message: fields that are messages of their own, and fields to leave out."""

    into: Mapping[int, _Shape] = field(default_factory=dict)
    drop: frozenset[int] = frozenset()


# Numbers as in onnx.proto. Graphs lie in attributes of nodes of graphs, so the table is closed by hand.
_TENSOR = _Shape(drop=frozenset({4, 5, 6, 7, 9, 10, 11}))  # float_data … raw_data … uint64_data
_SPARSE = _Shape({1: _TENSOR, 2: _TENSOR})
_fields_of_graph: dict[int, _Shape] = {5: _TENSOR, 15: _SPARSE}
_GRAPH = _Shape(_fields_of_graph)
_ATTRIBUTE = _Shape({5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE})
_NODE = _Shape({5: _ATTRIBUTE})
_fields_of_graph[1] = _NODE
_MODEL = _Shape({7: _GRAPH, 25: _Shape({7: _NODE})})


def outline(file: IO[bytes], size: int) -> bytes:
    """The first `size` bytes of `file` as a message without weights.

    Raises:
        Rejected: they are no protobuf message, or break off.
    """
    return _Walk(file).message(size, _MODEL, 0)


class _Walk:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = file.tell()
        self._kept = 0

    def message(self, end: int, shape: _Shape, depth: int) -> bytes:
        """From here to `end`. Raises Rejected: damaged, or nested too deeply."""
        if depth > MAX_DEPTH:
            raise Rejected("this is no ONNX file: its parts are nested too deeply")
        kept = bytearray()
        while self._at < end:
            key = self._varint(end)
            kept += self._value(key, end, shape, depth)
        return bytes(kept)

    def _value(self, key: int, end: int, shape: _Shape, depth: int) -> bytes:
        """One field with its key; empty when it is left out."""
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            content = _encoded(self._varint(end))
        elif wire in _FIXED:
            content = self._bytes(_FIXED[wire], end)
        elif wire == _BYTES:
            return self._delimited(key, end, shape, depth)
        else:
            raise _broken()
        return b"" if number in shape.drop else _encoded(key) + content

    def _delimited(self, key: int, end: int, shape: _Shape, depth: int) -> bytes:
        length, number = self._varint(end), key >> 3
        if self._at + length > end:
            raise _broken()
        if number in shape.drop:
            self._at = self._file.seek(self._at + length)
            return b""
        inner = shape.into.get(number)
        if inner is None or length <= WHOLE_BYTES:
            content = self._bytes(length, end)
        else:
            content = self.message(self._at + length, inner, depth + 1)
        return _encoded(key) + _encoded(len(content)) + content

    def _bytes(self, length: int, end: int) -> bytes:
        self._kept += length
        if self._kept > MAX_BYTES:
            raise Rejected(f"this is no ONNX file, or it holds more than {MAX_BYTES >> 20} MiB beside its weights")
        if self._at + length > end:
            raise _broken()
        content = self._file.read(length)
        if len(content) < length:
            raise _broken()
        self._at += length
        return content

    def _varint(self, end: int) -> int:
        value = 0
        for position in range(_VARINT_BYTES):
            (byte,) = self._bytes(1, end)
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return value
        raise _broken()


def _encoded(value: int) -> bytes:
    """As a varint."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _broken() -> Rejected:
    return Rejected("this is no ONNX file, or a part of it is missing; export the model again")
