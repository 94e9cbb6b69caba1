"""Which input is the picture, how it lies in memory, how large it is, and how its pixels are to be."""

from __future__ import annotations

import ast

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from controlplane.packaging.seen import Seen, Tensor
from controlplane.packaging.wish import PRESETS, Frame, Pixels, Wish
from protos.errors import Rejected

_ELEMENTS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
_DEPTHS = (1, 3)
_PASSING = ("Cast", "Transpose", "Identity")
_TENSOR = "to serve the graph as it is to applications beside the box, use --task tensor"


def frame_of(seen: Seen, wish: Wish, fed: frozenset[str]) -> Frame:
    """`fed` are inputs that need no picture. Raises Rejected."""
    taken = [each for each in seen.inputs if each.name not in fed]
    pictures = [each for each in taken if len(each.shape) == 4]
    if len(pictures) != 1 or len(taken) != 1:
        given = "; ".join(each.sentence for each in seen.inputs) or "none"
        raise Rejected(f"a camera gives one picture, but this model's inputs are: {given}; {_TENSOR}")
    (picture,) = pictures
    if picture.element not in _ELEMENTS:
        raise Rejected(f"pictures are float32, float16 or uint8, and this model takes {picture.sentence}; {_TENSOR}")
    layout = _layout(picture, wish.layout)
    batch, first, second, third = picture.shape
    depth, high, wide = (first, second, third) if layout == "nchw" else (third, first, second)
    if batch > 1:
        raise Rejected(
            f"the model takes {batch} pictures at a time, never fewer; export it with batch 1 or a free batch"
        )
    height, width = _size((high, wide), "grey pictures" if depth == 1 else "pictures", seen, wish)
    return Frame(picture.name, picture.element, layout, depth or 3, height, width, batch)


def _layout(picture: Tensor, wanted: str | None) -> str:
    fits = {"nchw": picture.shape[1] in (0, *_DEPTHS), "nhwc": picture.shape[3] in (0, *_DEPTHS)}
    shown = [layout for layout, fit in fits.items() if fit]
    if wanted in shown:
        return str(wanted)
    if wanted or not shown:
        said = f"--layout {wanted} does not fit" if wanted else "no side of 3 (or 1) channels is seen in"
        raise Rejected(f"{said} {picture.sentence}; pictures have 3 channels, or 1; {_TENSOR}")
    if not any(picture.shape[1:]):  # PyTorch's exporters leave all sides free; TensorFlow's keep the channels
        return "nchw"
    sure = [layout for layout in shown if picture.shape[1 if layout == "nchw" else 3] != 0]
    if len(sure or shown) > 1:
        raise Rejected(
            f"it cannot be seen which side of {picture.sentence} are the channels; say --layout nchw or nhwc"
        )
    return (sure or shown)[0]


def _size(free: tuple[int, int], what: str, seen: Seen, wish: Wish) -> tuple[int, int]:
    """Height and width; 0 is free. Raises Rejected."""
    high, wide = free
    noted = _noted_size(seen.notes.get("imgsz", ""))
    height, width = wish.size or noted or (high, wide)
    height, width = (high or height, wide or width) if wish.size is None else (height, width)
    if (high and high != height) or (wide and wide != width):
        raise Rejected(f"--size {width}x{height} does not fit: the graph takes {what} {_of(high, wide)} only")
    if not height or not width:
        such = f"--size {wide or 320}x{high or 320}" if high or wide else "--size 640, or --size 640x384"
        raise Rejected(f"the model takes {what} {_of(high, wide)}; say {such} as width x height")
    return height, width


def _of(high: int, wide: int) -> str:
    if high and wide:
        return f"of {wide}×{high}"
    if not high and not wide:
        return "of any size"
    return f"{high} high and of any width" if high else f"{wide} wide and of any height"


def _noted_size(text: str) -> tuple[int, int] | None:
    """`[640, 640]` as Ultralytics notes it: height, width."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    fits = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, int) for side in value)
    return (value[0], value[1]) if fits else None


def pixels_of(model: ModelProto, frame: Frame, wish: Wish, habit: tuple[str, str]) -> tuple[Pixels, str]:
    """`habit` is a preset and an order of channels; with a sentence on what was recognised. Raises Rejected."""
    preset, channels = habit
    note = ""
    if frame.channels == 1:
        preset, channels = _grey(wish, preset), "grey"
    if frame.element == TensorProto.UINT8:
        if wish.mean or wish.scale or wish.pixels not in (None, "raw"):
            raise Rejected("the model takes whole pixels (uint8): --pixels, --mean and --scale have nothing to act on")
        preset = "raw"
    elif scales_itself(model, frame.name):
        preset, note = "raw", "the graph scales pixels itself: they go in as 0 to 255"
    mean, scale = PRESETS[wish.pixels or preset]
    given = (_three(wish.mean, "--mean") or mean, _three(wish.scale, "--scale") or scale)
    return Pixels(*given, channels if frame.channels == 1 else wish.channels or channels), note


def _grey(wish: Wish, preset: str) -> str:
    """What is usual of one channel. Raises Rejected for what only three have."""
    if wish.channels:
        raise Rejected("--channels has nothing to act on: this model takes grey pictures; leave it out")
    if wish.pixels == "imagenet":
        raise Rejected(
            "--pixels imagenet is for three channels, and this model takes grey; say --pixels unit, or --mean, --scale"
        )
    for flag, numbers in (("--mean", wish.mean), ("--scale", wish.scale)):
        if numbers is not None and len(numbers) != 1:
            raise Rejected(f"{flag} wants one number: this model takes grey pictures, of one channel")
    return "unit" if preset == "imagenet" else preset


def _three(values: tuple[float, ...] | None, flag: str) -> tuple[float, ...] | None:
    if values is None or len(values) == 3:
        return values
    if len(values) == 1:
        return values * 3
    raise Rejected(f"{flag} wants one number or three, one per channel in the order the graph takes them")


def scales_itself(model: ModelProto, name: str) -> bool:
    """Whether the first arithmetic on this input brings 0…255 down."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    node = _first_arithmetic(model, name)
    if node is None or node.op_type not in ("Div", "Mul", "Sub"):
        return False
    others = [constants[each] for each in node.input if each in constants]
    if not others or max(others[0].dims, default=1) > 3:
        return False
    size = float(abs(numpy_helper.to_array(others[0])).max(initial=0))
    return 0 < size < 0.05 if node.op_type == "Mul" else size > 50


def _first_arithmetic(model: ModelProto, name: str) -> NodeProto | None:
    for node in model.graph.node:
        if name in node.input and node.op_type in _PASSING:
            name = node.output[0]
        elif name in node.input:
            return node
    return None
