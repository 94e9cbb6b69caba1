"""Tensor data as JSON numbers, booleans and strings, flat or nested; pure. Row-major, as the protocol says.

The main process has no numpy on purpose; `array` and `struct` do this at a few million numbers a second, within
`bounds`, and callers with large tensors send and receive them binary. How numbers are nested says nothing that their
shape does not, so the brackets are taken out before they are parsed: lists of lists cost ten times as much.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import struct
from array import array
from typing import Any

import msgspec

from agent.inference.datatypes import BYTES, FIXED, MAX_RANK, check_known, pack_bytes, unpack_bytes
from agent.ports import Tensor
from agent.serving import bounds
from agent.serving.errors import BadRequest, TooLarge

_OPENING = re.compile(rb"[\s\[]*")
_BRACKETS = b"[] \t\r\n"
_KINDS: dict[str, Any] = {"BOOL": list[bool], "FP16": list[float], "FP32": list[float], "FP64": list[float]}


def to_bytes(name: str, datatype: str, data: msgspec.Raw) -> bytes:
    """The wire bytes of a JSON `data` field. Raises BadInput, BadRequest, TooLarge."""
    check_known(name, datatype)
    text = bytes(data)
    try:
        return _packed_texts(name, text) if datatype == BYTES else _packed_numbers(datatype, text)
    except (msgspec.MsgspecError, OverflowError, struct.error, UnicodeEncodeError) as error:
        raise BadRequest(f"input {name!r}: its data is not a list of {datatype} values") from error


def from_bytes(tensor: Tensor) -> list[Any]:
    """The flat list of a tensor's values. Raises BadRequest when they are too many for JSON."""
    count, most = math.prod(tensor.shape), bounds.most(tensor.datatype)
    if count > most:
        raise BadRequest(
            f"output {tensor.name!r}: {count} values are more than the {most} sent as JSON; "
            'ask for it with the parameter "binary_data": true'
        )
    if tensor.datatype == BYTES:
        return [str(item, "utf-8", "replace") for item in unpack_bytes(tensor.name, tensor.data, count)]
    return list(struct.unpack(f"<{count}{FIXED[tensor.datatype].code}", tensor.data))


def _packed_numbers(datatype: str, text: bytes) -> bytes:
    if not text.startswith(b"["):
        raise msgspec.ValidationError("no list")
    flat = b"[%s]" % text.translate(None, _BRACKETS).strip(b",")  # commas alone: lists of nothing
    values: list[Any] = msgspec.json.decode(flat, type=_KINDS.get(datatype, list[int]))
    code = FIXED[datatype].code
    if code in "?e":  # `array` has no code for these
        return struct.pack(f"<{len(values)}{code}", *values)
    return array(code, values).tobytes()


def _packed_texts(name: str, text: bytes) -> bytes:
    opening = _OPENING.match(text)
    depth = opening[0].count(b"[") if opening else 0
    if depth > MAX_RANK:
        raise BadRequest(f"input {name!r}: its lists are deeper than any tensor")
    if text.count(b"[") > bounds.MAX_TEXTS:
        raise TooLarge(f"input {name!r}: its lists are too many; send it flat or binary")
    values = _text_decoder(depth).decode(text)
    for _ in range(depth - 1):
        values = list(itertools.chain.from_iterable(values))
    if len(values) > bounds.MAX_TEXTS:
        raise TooLarge(f"input {name!r}: more than the {bounds.MAX_TEXTS} texts taken as JSON; send it binary")
    return pack_bytes(value.encode() for value in values)


@functools.cache
def _text_decoder(depth: int) -> msgspec.json.Decoder[list[Any]]:
    """Of lists so deep: the parser itself refuses what is nested unevenly."""
    kind: Any = str
    for _ in range(max(1, depth)):
        kind = list[kind]
    return msgspec.json.Decoder(kind)
