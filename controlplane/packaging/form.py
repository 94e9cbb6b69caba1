"""Graphs that are in our form already, told by what they take and give; their bytes are taken as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto, ValueInfoProto

from protos.errors import Rejected
from protos.manifest import ImageInput

Model = ModelProto
_IMAGE_RANK = 4
_CHANNELS = 3
_OUTPUTS = {  # of each task for cameras: name → element, sides
    "detection": {"boxes": (TensorProto.FLOAT, 3), "scores": (TensorProto.FLOAT, 2), "classes": (TensorProto.INT64, 2)},
    "classification": {"scores": (TensorProto.FLOAT, 2)},
}


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives: name → (element type, shape; 0 for a free dimension)."""

    inputs: dict[str, tuple[int, tuple[int, ...]]]
    outputs: dict[str, tuple[int, tuple[int, ...]]]


def parsed(content: bytes) -> ModelProto:
    """Raises Rejected when this is no ONNX model."""
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise Rejected("this is no ONNX file, or a part of it is missing; export the model again") from error
    if not all(isinstance(text, str) for text in _texts(model)):
        raise Rejected("the file is damaged: a name in it is no text; export the model again")
    return model


def _texts(message: Message) -> Iterator[object]:
    """All that are in it; what is no UTF-8 comes as bytes. Of a tensor its name alone: its content may be large."""
    if isinstance(message, TensorProto):
        yield from (message.name, message.doc_string)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in (value,) if isinstance(value, Message) else value:
                yield from _texts(each)
        elif field.type == field.TYPE_STRING:
            yield from (value,) if isinstance(value, (str, bytes)) else value


def signature(model: ModelProto) -> Signature:
    """Raises Rejected when the model is not self-contained."""
    weights = {tensor.name for tensor in model.graph.initializer}
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise Rejected(
            "the model keeps weights in other files; save it as one: onnx.save(onnx.load('model.onnx'), 'whole.onnx')"
        )
    inputs = {value.name: _tensor(value) for value in model.graph.input if value.name not in weights}
    return Signature(inputs, {value.name: _tensor(value) for value in model.graph.output})


def _tensor(value: ValueInfoProto) -> tuple[int, tuple[int, ...]]:
    tensor = value.type.tensor_type
    return tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim)


def image_input(graph: Signature, fit: str) -> ImageInput | None:
    """The picture a graph takes, or None when its input is no picture in our form."""
    if len(graph.inputs) != 1:
        return None
    name, (element, shape) = next(iter(graph.inputs.items()))
    if element != TensorProto.UINT8 or len(shape) != _IMAGE_RANK or shape[3] != _CHANNELS or 0 in shape[1:3]:
        return None
    return ImageInput(name, shape[1], shape[2], fit)


def task_of(graph: Signature, image: ImageInput | None) -> str:
    """Names alone do not do: other exporters use them too, for other elements and sides."""
    given = {name: (element, len(shape)) for name, (element, shape) in graph.outputs.items()}
    if image is None:
        return "tensor"
    asked = "detection" if "boxes" in given else "classification"  # boxes of another form make no classifier
    return asked if _OUTPUTS[asked].items() <= given.items() else "tensor"


def classes_of(graph: Signature) -> int:
    """Of a classifier in our form; 0 where the graph does not show it."""
    return graph.outputs["scores"][1][1]
