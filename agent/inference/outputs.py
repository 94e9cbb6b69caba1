"""From a worker's answer to the tensors and boxes that leave the engine. Large outputs are views of its memory."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping, Sequence

from msgspec import structs

from agent.inference.contract import DETECTION
from agent.inference.datatypes import BYTES, pack_bytes
from agent.inference.messages import Inferred, Rows, TensorOut, aligned
from agent.inference.requests import LABELS
from agent.ports import Place, Tensor
from agent.types import Box


def label_of(labels: tuple[str, ...], index: int) -> str:
    return labels[index] if 0 <= index < len(labels) else str(index)


def of_graph(asked: Sequence[str] | None, *, picture: bool) -> list[str] | None:
    """What to ask the graph for; the names of classes are made later from `classes`."""
    if not asked:
        return None
    if not picture or LABELS not in asked:
        return list(asked)
    return list(dict.fromkeys([*(name for name in asked if name != LABELS), DETECTION[2]]))


def boxes_of(rows: Rows, labels: tuple[str, ...]) -> tuple[Box, ...]:
    return tuple(Box(x0, y0, x1, y1, score, label_of(labels, index)) for x0, y0, x1, y1, score, index in rows)


def tensors_of(message: Inferred, fds: list[int]) -> list[Tensor]:
    """The output tensors; takes the descriptor. The memory lives as long as a tensor that looks at it."""
    if not fds:
        return [_tensor(out, out.inline or b"") for out in message.outputs]
    (fd,) = fds
    try:
        view = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(fd)
    tensors, start = [], 0
    for out in message.outputs:
        if out.placed:
            tensors.append(_tensor(out, b""))
            continue
        tensors.append(_tensor(out, view[start : start + out.nbytes]))
        start += aligned(out.nbytes)
    return tensors


def in_places(tensors: Sequence[Tensor], answer: Inferred, into: Mapping[str, Place]) -> list[Tensor]:
    """Those that were written where `into` says, with their place."""
    sizes = {out.name: out.nbytes for out in answer.outputs if out.placed}
    return [
        structs.replace(tensor, place=structs.replace(into[tensor.name], nbytes=sizes[tensor.name]))
        if tensor.name in sizes
        else tensor
        for tensor in tensors
    ]


def with_labels(tensors: Sequence[Tensor], labels: tuple[str, ...], asked: Sequence[str] | None) -> list[Tensor]:
    """The answer to a picture: class numbers also by name, and only what was asked for, in that order."""
    named = {tensor.name: tensor for tensor in tensors}
    if "classes" in named:
        classes = named["classes"]
        numbers = struct.unpack(f"<{len(classes.data) // 8}q", classes.data)
        text = pack_bytes(label_of(labels, number).encode() for number in numbers)
        named[LABELS] = Tensor(LABELS, BYTES, classes.shape, text)
    return [named[name] for name in asked or named]


def _tensor(out: TensorOut, data: bytes | memoryview) -> Tensor:
    return Tensor(out.name, out.datatype, out.shape, data)
