"""Tensors between their wire bytes and numpy arrays, inside the engine worker. Numbers are not copied on the way in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.inference.datatypes import BYTES, FIXED, elements, pack_bytes, unpack_bytes
from agent.inference.errors import BadInput
from agent.inference.graph import Array
from agent.inference.messages import INLINE, TensorIn, TensorOut

__all__ = ["to_array", "to_wire", "unpack_bytes"]
Buffer = memoryview
_DATATYPES = {np.dtype(datatype.numpy): name for name, datatype in FIXED.items()}


def to_array(item: TensorIn, data: memoryview) -> Array:
    """The tensor as ONNX Runtime takes it. Raises BadInput for BYTES that are not UTF-8 text."""
    if item.datatype != BYTES:
        return np.frombuffer(data, dtype=FIXED[item.datatype].numpy).reshape(item.shape)
    try:
        texts = [str(text, "utf-8") for text in unpack_bytes(item.name, data, elements(item.name, item.shape))]
    except UnicodeDecodeError as error:
        raise BadInput(f"input {item.name!r}: ONNX text is UTF-8, and an element is not") from error
    array = np.empty(len(texts), dtype=object)  # only now: a shape may claim more elements than came
    array[:] = texts
    return array.reshape(item.shape)


def to_wire(named: Sequence[tuple[str, Array]]) -> tuple[list[TensorOut], list[Buffer]]:
    """Outputs inline while they are small together; else their bytes apart, in order, to travel beside the message."""
    content = [(name, array, _text(array) if array.dtype.hasobject else array) for name, array in named]
    small = sum(data.nbytes for _, _, data in content) <= INLINE
    outputs = [
        TensorOut(name, datatype_of(array), array.shape, data.nbytes, data.tobytes() if small else None)
        for name, array, data in content
    ]
    return outputs, [] if small else [_bytes(data) for _, _, data in content]


def datatype_of(array: Array) -> str:
    return BYTES if array.dtype.hasobject else _DATATYPES[array.dtype]


def _text(array: Array) -> Buffer:
    return memoryview(pack_bytes(str(text).encode() for text in array.reshape(-1).tolist()))


def _bytes(content: Array | Buffer) -> Buffer:
    """Row by row, not copied where it lies so."""
    return content if isinstance(content, memoryview) else np.ascontiguousarray(content).reshape(-1).view(np.uint8).data
