"""The front of a folded graph: image uint8 [N,H,W,3] RGB → the tensor the exported graph takes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from controlplane.packaging.wish import Frame, Pixels
from controlplane.packaging.writer import Array, Writer

IMAGE = "image"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as cv2 and PIL make grey


def write(to: Writer, frame: Frame, pixels: Pixels) -> str:
    """The name of the tensor made. Whole pixels are moved before they grow to four bytes."""
    source = IMAGE
    if pixels.channels == "bgr":
        source = to.pick(source, 3, (2, 1, 0))
    if frame.layout == "nchw" and frame.channels > 1:
        source = to.transpose(source, 0, 3, 1, 2)
    if frame.element == TensorProto.UINT8 and frame.channels > 1:
        return source
    source = to.float(source)
    if frame.channels == 1:
        source = _grey(to, source, frame.layout)
    source = _scaled(to, source, frame, pixels)
    if frame.element == TensorProto.UINT8:
        source = to.node("Round", source)  # a cast would cut off
    return source if frame.element == TensorProto.FLOAT else to.cast(source, frame.element)


def _grey(to: Writer, source: str, layout: str) -> str:
    grey = to.node("MatMul", source, to.real([[part] for part in LUMA]))
    return to.transpose(grey, 0, 3, 1, 2) if layout == "nchw" else grey


def _scaled(to: Writer, source: str, frame: Frame, pixels: Pixels) -> str:
    if any(pixels.mean):
        source = to.node("Sub", source, to.real(_sides(pixels.mean, frame)))
    if set(pixels.scale) != {1.0}:
        source = to.node("Div", source, to.real(_sides(pixels.scale, frame)))
    return source


def _sides(values: tuple[float, ...], frame: Frame) -> Array:
    """One number a channel, along the side where channels lie."""
    given = np.array(values[: frame.channels], np.float32)
    return given.reshape(-1, 1, 1) if frame.layout == "nchw" else given
