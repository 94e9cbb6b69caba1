"""Whether a graph takes and gives what its manifest says. Pure; it names no package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.gate.rules import Refusal, Rule

OUTPUTS = {"detection": {"boxes": 3, "scores": 2, "classes": 2}, "classification": {"scores": 2}, "tensor": {}}
_UINT8 = 2  # TensorProto.DataType


def refusals(graph: Any, task: str, image: dict[str, Any] | None) -> tuple[Refusal, ...]:
    """`image`: name, height and width of a camera's picture; None: it takes none."""
    return tuple(Refusal(Rule.MANIFEST, why) for why in (*_inputs(graph, image), *_outputs(graph, OUTPUTS[task])))


def _inputs(graph: Any, image: dict[str, Any] | None) -> Iterator[str]:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value.type.tensor_type for value in graph.input if value.name not in constants}
    if not inputs:
        yield "takes no input"
    elif image is not None:
        yield from _image(inputs, image)


def _image(inputs: dict[str, Any], image: dict[str, Any]) -> Iterator[str]:
    tensor = inputs.get(image["name"])
    if tensor is None or len(inputs) > 1:
        yield f"must take one input {image['name']!r}, not {', '.join(sorted(inputs))}"
        return
    if tensor.elem_type != _UINT8:
        yield f"must take its input {image['name']!r} as uint8"
    shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    wanted = [shape[0] if shape else None, image["height"], image["width"], 3]
    if len(shape) != 4 or any(is_ not in (None, should) for is_, should in zip(shape, wanted, strict=True)):
        yield f"takes an input of shape {shape}, not [N, {image['height']}, {image['width']}, 3]"


def _outputs(graph: Any, wanted: dict[str, int]) -> Iterator[str]:
    outputs = {value.name: value.type.tensor_type for value in graph.output}
    if not outputs:
        yield "gives no output"
    for name, rank in wanted.items():
        if name not in outputs:
            yield f"gives no output {name!r}"
        elif outputs[name].HasField("shape") and (found := len(outputs[name].shape.dim)) != rank:
            yield f"gives {name!r} with {found} dimensions, not {rank}"
