"""A parsed ModelProto as Facts. Pure: it names no package, opens nothing, and follows no name that it finds.

All graphs are walked, those in attributes, functions and training information too, each once, by a list and not by
recursion. What is collected is bounded by the file; text is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from controlplane.gate.facts import Facts, Operator, Tensor

# By number of TensorProto.DataType: bits of one number in raw_data.
BITS = {
    1: 32,
    2: 8,
    3: 8,
    4: 16,
    5: 16,
    6: 32,
    7: 64,
    9: 8,
    10: 16,
    11: 64,
    12: 32,
    13: 64,
    14: 64,
    15: 128,
    16: 16,
    17: 8,
    18: 8,
    19: 8,
    20: 8,
    21: 4,
    22: 4,
    23: 4,
    24: 8,
    25: 2,
    26: 2,
}
_TEXT, _COMPLEX = 8, (14, 15)
_PAYLOADS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_EXTERNAL = 1
_ORT_FORMAT = b"ORTM"  # at its fifth byte
_CUT = 128  # characters of a name
_ENDLESS = 1 << 62
_MOST = 60_000  # nodes, and constants, that are looked at: more than any limit allows
_MOST_ENTRIES = 1_000  # of operator sets and of metadata, which is refused for having more


def is_ort_format(content: bytes) -> bool:
    """As ONNX Runtime tells it, whatever else the bytes are."""
    return content[4:8] == _ORT_FORMAT


def facts(model: Any) -> Facts:
    """Of the whole file but its format."""
    walk = _Walk()
    walk.graph(model.graph, 0)
    for each in model.training_info:
        walk.graph(each.algorithm, 0)
        walk.graph(each.initialization, 0)
    bodies = {(_domain(each.domain), _cut(each.name)): each for each in model.functions}
    calls = {name: walk.function(each) for name, each in bodies.items()}
    sizes, circular = _unfolded(calls)
    return Facts(
        opsets=tuple((entry.domain, entry.version) for entry in model.opset_import[:_MOST_ENTRIES]),
        ir=model.ir_version,
        nodes=walk.nodes,
        unfolded=sum(count * sizes.get(name, 1) for name, count in walk.main.items()),
        depth=walk.depth,
        operators=walk.operators,
        functions=tuple(bodies),
        circular=circular,
        metadata=tuple(_cut(entry.key) for entry in model.metadata_props[:_MOST_ENTRIES]),
        entries=len(model.opset_import) + len(model.metadata_props),
        tensors=tuple(walk.tensors),
        values=tuple(walk.values),
        axis=walk.axis,
        rounds=walk.rounds,
        endless=walk.endless,
    )


def values_of(graph: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and sides (0: free) of what a graph declares."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        yield _cut(value.name), tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim)


@dataclass
class _Scope:
    """A graph to be walked: how deep it lies, how often it is run, and what its constants are."""

    graph: Any
    depth: int
    rounds: int
    constants: dict[str, Any]


@dataclass
class _Walk:
    nodes: int = 0
    depth: int = 0
    operators: Counter[Operator] = field(default_factory=Counter)
    main: Counter[Operator] = field(default_factory=Counter)
    tensors: list[Tensor] = field(default_factory=list)
    values: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    axis: int = 0
    rounds: int = 0
    endless: bool = False

    def graph(self, graph: Any, depth: int) -> None:
        before = self.operators.copy()
        self._all([_Scope(graph, depth, 1, {})])
        self.main += self.operators - before

    def function(self, function: Any) -> Counter[Operator]:
        """What it calls."""
        before = self.operators.copy()
        waiting = [scope for node in function.node for scope in self._node(node, 0, 1, {})]
        self._all(waiting)
        self.values += values_of(_Declared(function))
        return self.operators - before

    def _all(self, waiting: list[_Scope]) -> None:
        while waiting:
            scope = waiting.pop()
            self.depth = max(self.depth, scope.depth)
            waiting += self._inside(scope)

    def _inside(self, scope: _Scope) -> Iterator[_Scope]:
        graph = scope.graph
        if self.nodes + len(graph.node) > _MOST:
            self.nodes += len(graph.node)
            return
        self.tensors += [_tensor(each) for each in graph.initializer[: _MOST - len(self.tensors)]]
        for sparse in graph.sparse_initializer:
            self.tensors += _sparse(sparse)
        self.values += values_of(graph)
        known = scope.constants | {each.name: each for each in graph.initializer if prod(each.dims) == 1}
        known |= {name: each for node in graph.node for name, each in _constant(node)}
        for node in graph.node:
            yield from self._node(node, scope.depth, scope.rounds, known)

    def _node(self, node: Any, depth: int, rounds: int, known: dict[str, Any]) -> Iterator[_Scope]:
        self.nodes += 1
        self.operators[(_domain(node.domain), _cut(node.op_type))] += 1
        if node.op_type == "Loop":
            rounds = self._loop(node, rounds, known)
        for attribute in node.attribute:
            if attribute.name in ("axis", "axes"):
                self.axis = max(self.axis, abs(attribute.i), *map(abs, attribute.ints))
            self.tensors += [_tensor(each) for each in _tensors(attribute)]
            for sparse in _sparse_of(attribute):
                self.tensors += _sparse(sparse)
            for inner in _graphs(attribute):
                yield _Scope(inner, depth + 1, rounds, known)

    def _loop(self, node: Any, outer: int, known: Mapping[str, Any]) -> int:
        """Rounds of its body, as far as they are known from constants."""
        trips = _number(known.get(node.input[0])) if node.input and node.input[0] else _ENDLESS
        body = next((attribute.g for attribute in node.attribute if attribute.name == "body"), None)
        if trips is None or (body is not None and not _goes_on(body, node, known)):
            return outer
        self.endless = self.endless or trips >= _ENDLESS
        self.rounds = max(self.rounds, outer * max(1, trips))
        return outer * max(1, trips)


@dataclass(frozen=True)
class _Declared:
    """A function as far as it declares shapes."""

    function: Any
    input: tuple[Any, ...] = ()
    output: tuple[Any, ...] = ()

    @property
    def value_info(self) -> Any:
        return self.function.value_info


def _goes_on(body: Any, node: Any, known: Mapping[str, Any]) -> bool:
    """Whether nothing in `body` can end the loop: its condition is what came in, or a constant, and that is true."""
    if not body.output:
        return True
    made = {name: each for each in body.node for name in each.output}
    constants = {name: each for inner in body.node for name, each in _constant(inner)}
    constants |= {each.name: each for each in body.initializer}
    name, came_in = body.output[0].name, body.input[1].name if len(body.input) > 1 else ""
    for _ in range(len(body.node) + 1):
        if name in constants:
            return _number(constants[name]) != 0
        if name == came_in:
            given = node.input[1] if len(node.input) > 1 else ""
            return not given or _number(known.get(given)) not in (0, None)
        if name not in made or made[name].op_type != "Identity" or not made[name].input:
            return False
        name = made[name].input[0]
    return False


def _constant(node: Any) -> Iterator[tuple[str, Any]]:
    """The tensor of a Constant node of one number."""
    if node.op_type == "Constant" and node.output:
        for attribute in node.attribute:
            if attribute.name == "value" and prod(attribute.t.dims) == 1:
                yield node.output[0], attribute.t
            elif attribute.name == "value_int":
                yield node.output[0], attribute.i


def _number(tensor: Any) -> int | None:
    """Of a tensor with one whole number; None where it is another, or none."""
    if tensor is None or isinstance(tensor, int):
        return tensor
    if tensor.raw_data:
        return int.from_bytes(tensor.raw_data[:8], "little", signed=True)
    found = [*tensor.int64_data[:1], *tensor.int32_data[:1]]
    return int(found[0]) if found else None


def _unfolded(calls: Mapping[Operator, Counter[Operator]]) -> tuple[dict[Operator, int], str]:
    """How many nodes each function becomes, and the name of one that comes to call itself."""
    sizes: dict[Operator, int] = {}
    for _ in calls:  # each round settles one at least, unless they go in circles
        before = len(sizes)
        for name, called in calls.items():
            if name not in sizes and all(each in sizes for each in called if each in calls):
                sizes[name] = min(sum(count * sizes.get(each, 1) for each, count in called.items()), _ENDLESS)
        if len(sizes) == before:
            break
    return sizes, next((name for (_, name) in calls.keys() - sizes.keys()), "")


def _tensors(attribute: Any) -> Iterator[Any]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _sparse_of(attribute: Any) -> Iterator[Any]:
    if attribute.HasField("sparse_tensor"):
        yield attribute.sparse_tensor
    yield from attribute.sparse_tensors


def _graphs(attribute: Any) -> Iterator[Any]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _sparse(sparse: Any) -> list[Tensor]:
    """Its two parts, and the whole as it would be: no runtime keeps it sparse."""
    whole = tuple(sparse.dims)
    name = _cut(sparse.values.name)
    small = all(side >= 0 for side in whole) and prod(whole) <= max(1, prod(sparse.values.dims)) * _SPREAD
    parts = [_tensor(sparse.values), _tensor(sparse.indices)]
    return parts if small else [*parts, Tensor(name, whole, 8, 0, counted=True)]


_SPREAD = 1 << 12  # times that a sparse tensor may grow when it is laid out


def _tensor(tensor: Any) -> Tensor:
    held, counted = _held(tensor)
    return Tensor(
        _cut(tensor.name), tuple(tensor.dims), BITS.get(tensor.data_type, 0), held, counted, _location(tensor)
    )


def _held(tensor: Any) -> tuple[int, bool]:
    """Bytes, or numbers where they are listed one by one; -1 of both kinds, or of none that is known."""
    listed = sum(len(getattr(tensor, name)) for name in _PAYLOADS)
    kind = tensor.data_type
    if (tensor.raw_data and listed) or (kind not in BITS and kind != _TEXT):
        return -1, False
    if kind == _TEXT:
        return (-1 if tensor.raw_data else listed), True
    if not listed:
        return len(tensor.raw_data), False
    if BITS[kind] < 8:  # several share one place of the list
        places = 8 // BITS[kind]
        wanted = prod(tensor.dims)
        return (wanted if -(-wanted // places) == listed else listed * places), True
    return (listed // 2 if kind in _COMPLEX else listed), True


def _location(tensor: Any) -> str | None:
    if tensor.data_location != _EXTERNAL and not tensor.external_data:
        return None
    return next((_cut(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def _domain(text: Any) -> str:
    name = _cut(text)
    return "" if name == "ai.onnx" else name


def _cut(text: Any) -> str:
    """Protobuf gives bytes for what is no UTF-8."""
    return (text.decode(errors="replace") if isinstance(text, bytes) else str(text))[:_CUT]
