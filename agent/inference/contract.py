"""The graph contract of each task, checked once when a model is loaded. Pure: signature in, nothing or BadModel out.

picture input   image  UINT8 [N, height, width, 3], RGB
detection       boxes  FP32 [N, K, 4]   scores FP32 [N, K]   classes INT64 [N, K]
classification  scores FP32 [N, C]
tensor          anything
"""

from __future__ import annotations

from agent.inference.errors import BadModel
from agent.inference.requests import IMAGE
from agent.ports import ModelSignature, TensorSpec
from agent.types import ModelInput

OUTPUTS = {
    "detection": (("boxes", "FP32", 3), ("scores", "FP32", 2), ("classes", "INT64", 2)),
    "classification": (("scores", "FP32", 2),),
    "tensor": (),
}
DETECTION = tuple(name for name, _, _ in OUTPUTS["detection"])


def outputs_of(task: str) -> tuple[str, ...] | None:
    """Those that a box asks for; None: all that the model has."""
    return tuple(name for name, _, _ in OUTPUTS.get(task, ())) or None


def check(signature: ModelSignature, task: str, model_input: ModelInput | None) -> None:
    """Raises BadModel with the first breach."""
    if model_input is not None:
        _check_image(signature.inputs, model_input)
    given = {spec.name: spec for spec in signature.outputs}
    for name, datatype, rank in OUTPUTS.get(task, ()):
        spec = given.get(name)
        if spec is None or spec.datatype != datatype or len(spec.shape) != rank:
            raise BadModel(f"a {task} model must give {name!r} as {datatype} with {rank} dimensions; package it again")


def _check_image(inputs: tuple[TensorSpec, ...], want: ModelInput) -> None:
    shape = (want.height, want.width, 3)
    if len(inputs) != 1 or inputs[0].name != IMAGE or inputs[0].datatype != "UINT8" or len(inputs[0].shape) != 4:
        raise BadModel("a camera model must take one input 'image', UINT8 [N, height, width, 3]; package it again")
    batch, *rest = inputs[0].shape
    if batch not in (-1, 1) or any(got not in (-1, side) for got, side in zip(rest, shape, strict=True)):
        raise BadModel(
            f"the graph takes {list(inputs[0].shape)}, but the manifest says {list(shape)}; package it again"
        )
