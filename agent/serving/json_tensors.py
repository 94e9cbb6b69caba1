"""Tensor data as JSON numbers, booleans and strings, flat or nested; pure. Row-major, as the protocol says.

The main process has no numpy on purpose; `array` and `struct` do this at a few million numbers a second, and callers
with large tensors send them binary.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.inference.datatypes import BYTES, FIXED, pack_bytes, unpack_bytes
from agent.ports import Tensor
from agent.serving.errors import BadRequest

MAX_DEPTH = 32
_KINDS: dict[str, Any] = {
    "BOOL": list[bool],
    BYTES: list[str],
    "FP16": list[float],
    "FP32": list[float],
    "FP64": list[float],
}


def to_bytes(name: str, datatype: str, data: msgspec.Raw) -> bytes:
    """The wire bytes of a JSON `data` field. Raises BadRequest."""
    if datatype != BYTES and datatype not in FIXED:
        raise BadRequest(f"input {name!r}: datatype {datatype!r} must be one of {', '.join(FIXED)} or BYTES")
    try:
        return _packed(datatype, _flat(datatype, data))
    except (msgspec.MsgspecError, RecursionError, OverflowError, struct.error, UnicodeEncodeError) as error:
        raise BadRequest(f"input {name!r}: its data is not a list of {datatype} values") from error


def from_bytes(tensor: Tensor) -> list[Any]:
    """The flat list of a tensor's values."""
    if tensor.datatype == BYTES:
        count = 1
        for side in tensor.shape:
            count *= side
        return [str(item, "utf-8", "replace") for item in unpack_bytes(tensor.name, tensor.data, count)]
    fixed = FIXED[tensor.datatype]
    return list(struct.unpack(f"<{len(tensor.data) // fixed.size}{fixed.code}", tensor.data))


def _flat(datatype: str, data: msgspec.Raw) -> list[Any]:
    kind = _KINDS.get(datatype, list[int])
    try:
        flat: list[Any] = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        nested = msgspec.json.decode(data, type=list[Any])
        flat = msgspec.convert(list(_leaves(nested, MAX_DEPTH)), type=kind)
    return flat


def _leaves(items: list[Any], depth: int) -> Iterator[Any]:
    if not depth:
        raise RecursionError
    for item in items:
        if isinstance(item, list):
            yield from _leaves(item, depth - 1)
        else:
            yield item


def _packed(datatype: str, values: list[Any]) -> bytes:
    if datatype == BYTES:
        return pack_bytes(text.encode() for text in values)
    code = FIXED[datatype].code
    if code in "?e":  # `array` has no code for these
        return struct.pack(f"<{len(values)}{code}", *values)
    return array(code, values).tobytes()
