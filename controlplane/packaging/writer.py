"""Nodes appended to a graph, spelled as its opset wants them.

Opset 11 is the oldest that is written; axes became inputs in opset 13 (Squeeze, Unsqueeze) and 18 (ReduceMax). Every
name begins with `longshore.`, so that none clashes with what an exporter wrote. The same calls give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import GraphProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
OLDEST = 11
PREFIX = "longshore."
_SQUEEZE_INPUT, _REDUCE_INPUT = 13, 18


class Writer:
    """Each method adds a node and gives the name of its output."""

    def __init__(self, graph: GraphProto, opset: int) -> None:
        self.graph = graph
        self._opset = opset
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = self._name(kind)
        self.graph.node.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def named(self, name: str, source: str) -> None:
        """`source` under a name of our own choosing."""
        self.graph.node.append(helper.make_node("Identity", [source], [name], name=f"{PREFIX}{name}"))

    def real(self, value: ArrayLike) -> str:
        return self._constant(np.asarray(value, np.float32))

    def whole(self, value: ArrayLike) -> str:
        return self._constant(np.asarray(value, np.int64))

    def cast(self, source: str, element: int) -> str:
        return self.node("Cast", source, to=element)

    def float(self, source: str) -> str:
        return self.cast(source, TensorProto.FLOAT)

    def unsqueeze(self, source: str, *axes: int) -> str:
        if self._opset >= _SQUEEZE_INPUT:
            return self.node("Unsqueeze", source, self.whole(axes))
        return self.node("Unsqueeze", source, axes=list(axes))

    def squeeze(self, source: str, *axes: int) -> str:
        if self._opset >= _SQUEEZE_INPUT:
            return self.node("Squeeze", source, self.whole(axes))
        return self.node("Squeeze", source, axes=list(axes))

    def largest(self, source: str, axis: int) -> str:
        """The maximum along `axis`, which goes."""
        if self._opset >= _REDUCE_INPUT:
            return self.node("ReduceMax", source, self.whole([axis]), keepdims=0)
        return self.node("ReduceMax", source, axes=[axis], keepdims=0)

    def reshape(self, source: str, *shape: int) -> str:
        """0 keeps a side, -1 takes what is left."""
        return self.node("Reshape", source, self.whole(shape))

    def transpose(self, source: str, *order: int) -> str:
        return self.node("Transpose", source, perm=list(order))

    def part(self, source: str, axis: int, start: int, end: int | None = None) -> str:
        """`source[start:end]` along `axis`."""
        stop = np.iinfo(np.int64).max if end is None else end
        return self.node("Slice", source, self.whole([start]), self.whole([stop]), self.whole([axis]))

    def pick(self, source: str, axis: int, indices: Sequence[int]) -> str:
        return self.node("Gather", source, self.whole(indices), axis=axis)

    def concat(self, axis: int, *sources: str) -> str:
        return self.node("Concat", *sources, axis=axis)

    def top(self, source: str, count: str) -> tuple[str, str]:
        """Values descending and their places, of the last of two axes; of equals the first is taken first."""
        values, places = self._name("TopK"), self._name("TopK")
        self.graph.node.append(
            helper.make_node("TopK", [source, count], [values, places], name=values, axis=1, largest=1, sorted=1)
        )
        return values, places

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{PREFIX}{kind}.{self._count}"

    def _constant(self, value: Array) -> str:
        key = (value.dtype.name, value.shape, value.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"{PREFIX}constant.{len(self._constants)}"
            self.graph.initializer.append(
                numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            )
        return self._constants[key]
