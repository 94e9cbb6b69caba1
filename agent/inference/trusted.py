"""Which runtime a worker uses where OpenVINO was asked for: that one, if it answers here as ONNX Runtime does in fp32.

A precision chosen on a box passed no gate where its release was packaged. So each worker, before its first call, shows
both runtimes the same inputs (`likeness` judges); where OpenVINO does not take the graph, or is too far off, ONNX
Runtime answers on the processor, and the fleet hears why. Whole numbers of more than 32 bits, numbers with a point of
64, and text are never OpenVINO's: it computes the former in 32 bits and does not say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from hashlib import shake_128

import numpy as np

from agent.inference import contract, likeness, warming
from agent.inference.errors import BadInput, BadModel
from agent.inference.graph import Array, Graph
from agent.inference.requests import IMAGE
from agent.ports import ModelSignature
from agent.types import ModelInput
from protos.errors import Fatal, LongshoreError

EXACT = frozenset({"BOOL", "INT8", "INT16", "INT32", "UINT8", "UINT16", "FP16", "FP32"})
PATCHES = 32  # of one colour, on each side of the picture that is shown


def preload(precision: str) -> None:
    """Before a worker gives up its rights. Raises Fatal."""
    try:
        from agent.inference import session_openvino
    except (ImportError, OSError) as error:
        raise Fatal(f"OpenVINO does not load ({error}); 'longshore-agent doctor' says how to mend it") from error
    if precision not in session_openvino.preload():
        raise Fatal(f"this processor does not compute in {precision}; choose --provider cpu")


def opened(
    fp32: Graph, model: bytes, precision: str, task: str, model_input: ModelInput | None, cores: int
) -> tuple[Graph, str]:
    """OpenVINO's graph and "", or `fp32` and why it is that one, as a sentence."""
    from agent.inference.session_openvino import OpenvinoSession

    if wide := _wide(fp32.signature, task):
        return fp32, _declined(precision, f"computes {wide} in fewer bits")
    try:
        graph = OpenvinoSession(model, fp32.signature, precision, cores)
        different = _different(fp32, graph, precision, task, model_input)
    except LongshoreError as error:
        return fp32, _declined(precision, f"was not used: {error}")
    return (fp32, _declined(precision, different)) if different else (graph, "")


def _declined(precision: str, why: str) -> str:
    return f"OpenVINO in {precision} {why}; ONNX Runtime answers instead, as it does with --provider cpu"


def _wide(signature: ModelSignature, task: str) -> str:
    """A tensor that is not OpenVINO's, with its datatype; "" where there is none. Classes are small numbers."""
    contracted = contract.outputs_of(task) or ()
    for spec in (*signature.inputs, *(each for each in signature.outputs if each.name not in contracted)):
        if spec.datatype not in EXACT:
            return f"{spec.name!r} ({spec.datatype})"
    return ""


def _different(fp32: Graph, ours: Graph, precision: str, task: str, model_input: ModelInput | None) -> str:
    names = contract.outputs_of(task) or [spec.name for spec in fp32.signature.outputs]
    for feeds in shown(fp32.signature, model_input):
        try:
            expected = fp32.run(feeds, names)
        except (BadInput, BadModel):
            return "could not be compared, since the graph does not run with free dimensions of 1"
        theirs, mine = (dict(zip(names, each, strict=True)) for each in (expected, ours.run(feeds, names)))
        if found := likeness.difference(task, theirs, mine, likeness.TOLERANCES[precision]):
            return found
    return ""


def shown(signature: ModelSignature, model_input: ModelInput | None) -> Iterator[Mapping[str, Array]]:
    """The inputs both answer for, the same at every start: noise, and patches as large as things are."""
    if model_input is None:
        yield {name: _filled(array) for name, array in warming.zeros(signature).items()}
        return
    height, width, _ = model_input.shape
    yield {IMAGE: _bytes((1, height, width, 3))}
    across, down = (np.arange(side) * PATCHES // side for side in (width, height))
    yield {IMAGE: np.ascontiguousarray(_bytes((1, PATCHES, PATCHES, 3))[:, down][:, :, across])}


def _filled(zeros: Array) -> Array:
    """Numbers with a point from -1 to 1, bytes of any value; others are indices as often as not, and stay 0."""
    if zeros.dtype.kind == "f":
        return (_bytes(zeros.shape).astype(np.float64) / 127.5 - 1).astype(zeros.dtype)
    return _bytes(zeros.shape) if zeros.dtype == np.uint8 else zeros


def _bytes(shape: tuple[int, ...]) -> Array:
    """Any, the same every time. Numpy's own would open a file for its first, and this worker opens none."""
    return np.frombuffer(shake_128(b"longshore").digest(math.prod(shape)), np.uint8).reshape(shape)
