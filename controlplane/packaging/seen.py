"""What a graph shows of itself: what it takes and gives, how its outputs come about, and what its exporter noted."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

# Where weights are applied: what lies behind belongs to the network, what lies before to how its output is written.
_LAYERS = frozenset({"Conv", "MatMul", "Gemm", "ConvTranspose", "QLinearConv", "QLinearMatMul", "Einsum"})
OURS = ("image", "boxes", "scores", "classes")  # names that our own tensors get
_FEW = 4  # tensors told of in one sentence
MOVED = "source."  # begins what a tensor of the graph is called that had such a name
_NAMES = "names"  # https://github.com/ultralytics/ultralytics, engine/exporter.py: {0: 'person', …}


@dataclass(frozen=True)
class Tensor:
    """0 in a shape is a free side."""

    name: str
    element: int
    shape: tuple[int, ...]

    @property
    def shown(self) -> str:
        """As the file calls it."""
        return shown(self.name)

    @property
    def sentence(self) -> str:
        sides = ",".join(str(side) if side else "N" if not place else "?" for place, side in enumerate(self.shape))
        return f"{self.shown}  {TensorProto.DataType.Name(self.element).lower()} [{sides}]"


@dataclass(frozen=True)
class Seen:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    notes: Mapping[str, str]  # metadata_props
    makers: Mapping[str, NodeProto] = field(repr=False)  # by the name of what each gives
    kinds: frozenset[str]  # operators used anywhere
    halves: bool  # most weights are float16
    whole: bool  # quantised: it holds QuantizeLinear or its kin

    def output(self, *names: str) -> Tensor | None:
        return next((tensor for name in names for tensor in self.outputs if tensor.name == name), None)

    def ending(self, name: str) -> frozenset[str]:
        """The kinds of the nodes between the last weights and the output `name`."""
        kinds, waiting, passed = set(), [name], set()
        while waiting:
            node = self.makers.get(waiting.pop())
            if node is None or node.op_type in _LAYERS or id(node) in passed:
                continue
            passed.add(id(node))
            kinds.add(node.op_type)
            waiting.extend(node.input)
        return frozenset(kinds)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that the exporter noted, or none."""
        return labels_in(self.notes.get(_NAMES, ""))

    @property
    def precision(self) -> str:
        return "int8" if self.whole else "fp16" if self.halves else "fp32"


def see(model: ModelProto) -> Seen:
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    kinds = frozenset(node.op_type for node in nodes(graph))
    return Seen(
        inputs=tuple(_tensor(value) for value in graph.input if value.name not in constants),
        outputs=tuple(_tensor(value) for value in graph.output),
        notes={each.key: each.value for each in model.metadata_props},
        makers={output: node for node in graph.node for output in node.output},
        kinds=kinds,
        halves=_halves(graph.initializer),
        whole=any(kind.startswith(("Quantize", "DynamicQuantize", "QLinear")) for kind in kinds),
    )


def _tensor(value: ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    return Tensor(value.name, tensor.elem_type, tuple(max(0, dim.dim_value) for dim in tensor.shape.dim))


def nodes(graph: GraphProto) -> Iterable[NodeProto]:
    """All, those of inner graphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


def _halves(weights: Iterable[TensorProto]) -> bool:
    sizes = {TensorProto.FLOAT: 0, TensorProto.FLOAT16: 0}
    for tensor in weights:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += prod(tensor.dims)
    return sizes[TensorProto.FLOAT16] > sizes[TensorProto.FLOAT]


def listed(tensors: Sequence[Tensor]) -> str:
    """The first few in one sentence."""
    more = len(tensors) - _FEW
    return ", ".join(each.sentence for each in tensors[:_FEW]) + (f" and {more} more" if more > 0 else "")


def shown(name: str) -> str:
    """What the file calls a tensor that had to give way to ours."""
    bare = name.removeprefix(MOVED)
    return bare if bare in OURS else name


def counted(classes: int) -> str:
    return f"{classes} class" if classes == 1 else f"{classes} classes"


def are_names(count: int) -> str:
    return "there is 1 name" if count == 1 else f"there are {count} names"


def labels_in(text: str) -> tuple[str, ...]:
    """Of `{0: 'boat', 1: 'truck'}` or `['boat', 'truck']`; none where it is something else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if isinstance(value, dict) and sorted(map(str, value)) == sorted(map(str, range(len(value)))):
        value = [value.get(number, value.get(str(number))) for number in range(len(value))]
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
