"""The Open Inference Protocol's datatypes: sizes, element counts, and the layout of BYTES. Pure; no numpy.

Tensors travel as row-major little-endian bytes. BYTES elements are each a 4-byte little-endian length and content.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.inference.errors import BadInput

_LENGTH = struct.Struct("<I")
MAX_RANK = 32  # numpy allows 64, ONNX Runtime's kernels fewer; beyond this a shape is an attack
MAX_SIDE = 1 << 31
MAX_ELEMENTS = 1 << 31  # sides of 0 left out: numpy and ONNX Runtime multiply the others even when nothing is there


@dataclass(frozen=True)
class Datatype:
    """One fixed-size datatype: bytes per element, struct code, the name ONNX Runtime and numpy give it."""

    size: int
    code: str
    onnx: str
    numpy: str


FIXED = {
    "BOOL": Datatype(1, "?", "tensor(bool)", "bool"),
    "UINT8": Datatype(1, "B", "tensor(uint8)", "uint8"),
    "UINT16": Datatype(2, "H", "tensor(uint16)", "uint16"),
    "UINT32": Datatype(4, "I", "tensor(uint32)", "uint32"),
    "UINT64": Datatype(8, "Q", "tensor(uint64)", "uint64"),
    "INT8": Datatype(1, "b", "tensor(int8)", "int8"),
    "INT16": Datatype(2, "h", "tensor(int16)", "int16"),
    "INT32": Datatype(4, "i", "tensor(int32)", "int32"),
    "INT64": Datatype(8, "q", "tensor(int64)", "int64"),
    "FP16": Datatype(2, "e", "tensor(float16)", "float16"),
    "FP32": Datatype(4, "f", "tensor(float)", "float32"),
    "FP64": Datatype(8, "d", "tensor(double)", "float64"),
}
BYTES = "BYTES"
FROM_ONNX = {datatype.onnx: name for name, datatype in FIXED.items()} | {"tensor(string)": BYTES}


def elements(name: str, shape: Sequence[int]) -> int:
    """How many elements a tensor of this shape has. Raises BadInput for a shape no tensor can have."""
    if len(shape) > MAX_RANK or any(not 0 <= side < MAX_SIDE for side in shape):
        raise BadInput(f"input {name!r}: its shape must be up to {MAX_RANK} sizes from 0 to {MAX_SIDE - 1}")
    if math.prod(side for side in shape if side) > MAX_ELEMENTS:
        raise BadInput(f"input {name!r}: shape {list(shape)} has more than {MAX_ELEMENTS} elements")
    return math.prod(shape)


def check_known(name: str, datatype: str) -> None:
    """Raises BadInput for a datatype we do not have, BF16 of the protocol's among them."""
    if datatype not in FIXED and datatype != BYTES:
        raise BadInput(
            f"input {name!r}: this server does not support datatype {datatype[:20]!r}; it has {', '.join(FIXED)}, BYTES"
        )


def check_size(name: str, datatype: str, shape: Sequence[int], nbytes: int) -> None:
    """Raises BadInput when `nbytes` is not what datatype and shape say."""
    count = elements(name, shape)
    check_known(name, datatype)
    if datatype == BYTES:
        return
    expected = count * FIXED[datatype].size
    if expected != nbytes:
        raise BadInput(f"input {name!r}: {datatype} {list(shape)} is {expected} bytes, but {nbytes} came")


def pack_bytes(items: Iterable[bytes]) -> bytes:
    """BYTES elements in their wire layout."""
    return b"".join(part for item in items for part in (_LENGTH.pack(len(item)), item))


def unpack_bytes(name: str, data: bytes | memoryview, count: int) -> list[memoryview]:
    """Exactly `count` BYTES elements, not copied. Raises BadInput for any other layout."""
    view, at = memoryview(data), 0
    items: list[memoryview] = []
    while at < len(view) and len(items) < count:
        end = at + 4 + _LENGTH.unpack_from(view, at)[0] if at + 4 <= len(view) else len(view) + 1
        if end > len(view):
            raise BadInput(f"input {name!r}: BYTES element {len(items)} is cut short")
        items.append(view[at + 4 : end])
        at = end
    if len(items) != count or at != len(view):
        raise BadInput(f"input {name!r}: its shape holds {count} BYTES elements, but other data came")
    return items
