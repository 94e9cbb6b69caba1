"""Graphs of old opsets brought to the oldest that our own nodes are written in."""

from __future__ import annotations

from onnx import ModelProto, helper, version_converter
from onnx.defs import onnx_opset_version

from controlplane.packaging.writer import OLDEST
from protos.errors import Rejected

OLDEST_READ = 7  # before it batch normalisation and broadcasting meant something else


def opset(model: ModelProto) -> int:
    """0 where it says none."""
    return max((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def check_known(model: ModelProto) -> None:
    """Raises Rejected."""
    found, newest = opset(model), int(onnx_opset_version())
    if not OLDEST_READ <= found <= newest:
        raise Rejected(f"the model is of opset {found}, known are {OLDEST_READ} to {newest}; export it with opset 17")


def raised(model: ModelProto) -> tuple[ModelProto, str]:
    """The model with an opset we write, and what was done, or "". Raises Rejected."""
    found = opset(model)
    if found >= OLDEST:
        return model, ""
    try:
        newer = version_converter.convert_version(model, OLDEST)
    except Exception as error:  # the converter raises RuntimeError and its own
        why = " ".join(str(error).split())[:160].rstrip(".")
        raise Rejected(f"opset {found} cannot be raised to {OLDEST} ({why}); export it with opset 11 to 17") from error
    _resize_as_before(newer)
    return newer, f"opset {found} was raised to {OLDEST}"


def _resize_as_before(model: ModelProto) -> None:
    """Before opset 11 a place was its number by the scale, rounded down; since then it is said, and means otherwise."""
    for node in model.graph.node:
        if node.op_type == "Resize":
            said = {each.name for each in node.attribute}
            meant = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            node.attribute.extend(helper.make_attribute(key, value) for key, value in meant.items() if key not in said)
