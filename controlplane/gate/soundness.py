"""What the `onnx` package says of a model: whether it parses, holds together, and which shapes its tensors come to.

Its native code reads a stranger's bytes here, in the gate's own process. It opens no file: a model is handed over as a
value and none of it points outside, which was asked before.
"""

from __future__ import annotations

from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import checker, shape_inference

from controlplane.gate.facts import Limits
from controlplane.gate.judging import shapes
from controlplane.gate.reading import values_of
from controlplane.gate.rules import Refusal, Rule

_SMALL = 64 << 10  # bytes of constants that shapes may hang on
_ERRORS = (checker.ValidationError, shape_inference.InferenceError, ValueError, RuntimeError, UnicodeDecodeError)


def parsed(content: bytes) -> Any:
    """A ModelProto; None where the bytes are none."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError):
        return None
    return model


def newest_opset() -> int:
    return int(onnx.defs.onnx_opset_version())


def refusals(model: Any, limits: Limits) -> tuple[Refusal, ...]:
    """`model` is changed: large weights leave it when they are checked, since no shape hangs on them."""
    try:
        checker.check_model(model, full_check=False)
        _without_weights(model.graph)
        known = shape_inference.infer_shapes(model, check_type=True, data_prop=True)
    except UnicodeDecodeError:  # the checker quotes the name it complains of
        return (Refusal(Rule.UNSOUND, "is no sound ONNX model (a name in it is no text)"),)
    except _ERRORS as error:
        return (Refusal(Rule.UNSOUND, f"is no sound ONNX model ({_first_line(error)})"),)
    return shapes(tuple(values_of(known.graph)), limits)


def _without_weights(graph: Any) -> None:
    """They become inputs, of the same type and shape."""
    inputs = {value.name for value in graph.input}
    for place in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[place]
        if len(tensor.raw_data) > _SMALL:
            if tensor.name not in inputs:
                graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            del graph.initializer[place]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
