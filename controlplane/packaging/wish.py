"""What a person wants of a model, and what was decided; values only. None means: as the graph shows, or as is usual."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from protos.errors import Rejected

TASKS = ("detection", "classification", "tensor")
CHANNELS = ("rgb", "bgr")
LAYOUTS = ("nchw", "nhwc")
ORDERS = ("xyxy", "yxyx", "cxcywh", "xywh")  # of the four numbers of a box; xywh has its top left corner first
UNITS = ("normalised", "pixels")
BACKGROUNDS = ("none", "first", "last")  # where the class "nothing" stands
ENDINGS = ("probabilities", "sigmoid", "softmax")  # what is still to be done to scores

# (pixel - mean) / scale, for pixels of 0 to 255, in the order of the channels the graph takes.
PRESETS = {
    "raw": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "signed": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
MOST_ROWS = 2000  # the agent looks at no more


@dataclass(frozen=True)
class Wish:
    labels: tuple[str, ...] = ()
    task: str | None = None
    head: str | None = None
    size: tuple[int, int] | None = None  # height, width
    fit: str | None = None
    pixels: str | None = None  # a preset
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    channels: str | None = None
    layout: str | None = None
    score: float = 0.05  # below it a candidate is not given; a deployment's own threshold is above
    iou: float | None = None  # two boxes of one class that overlap by more are one object
    top_k: int = 100
    anchors: tuple[float, ...] | None = None  # pixels: width, height, … from the finest map to the coarsest
    order: str | None = None
    units: str | None = None
    background: str | None = None
    ending: str | None = None

    def __post_init__(self) -> None:
        """Raises Rejected."""
        if not 1 <= self.top_k <= MOST_ROWS:
            raise Rejected(f"--top-k must be from 1 to {MOST_ROWS}")
        for flag, value in (("--score", self.score), ("--iou", self.iou)):
            if value is not None and not 0 <= value <= 1:
                raise Rejected(f"{flag} must be from 0 to 1")
        if self.scale is not None and 0 in self.scale:
            raise Rejected("--scale must not be 0: pixels are divided by it")


FLAGS = {
    **{name: f"--{name}" for name in ("size", "fit", "pixels", "mean", "scale", "channels", "layout", "score", "iou")},
    **{name: f"--{name}" for name in ("anchors", "units", "background", "ending", "head")},
    "top_k": "--top-k",
    "order": "--box",
}
PICTURES = ("size", "fit", "pixels", "mean", "scale", "channels", "layout")  # every graph for cameras hears these
BOXES = ("score", "iou", "top_k")  # and every detector these


def check_heard(wish: Wish, what: str, heard: Collection[str]) -> None:
    """Raises Rejected for a flag that `what` does not hear: done all the same it would be forgotten in silence."""
    for name, flag in FLAGS.items():
        if name not in heard and getattr(wish, name) != getattr(Wish(), name):
            raise Rejected(f"{flag} has nothing to act on with {what}; leave it out, or see --inspect")


@dataclass(frozen=True)
class Pixels:
    """How whole RGB pixels become what the graph was trained on."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    channels: str  # rgb, bgr or grey

    @property
    def plain(self) -> bool:
        return set(self.mean) == {0.0} and set(self.scale) == {1.0}

    @property
    def sentence(self) -> str:
        if self.plain:
            return f"{self.channels.upper()}, 0 to 255 as they are"
        preset = next((name for name, pair in PRESETS.items() if pair == (self.mean, self.scale)), "")
        less = f"(pixel - {_numbers(self.mean)})" if any(self.mean) else "pixel"
        numbers = f"{less} / {_numbers(self.scale)}"
        return f"{self.channels.upper()}, {numbers}" + (f" ('{preset}')" if preset else "")


def _numbers(values: tuple[float, ...]) -> str:
    same = len(set(values)) == 1
    return f"{values[0]:g}" if same else "[" + ", ".join(f"{value:g}" for value in values) + "]"


@dataclass(frozen=True)
class Frame:
    """The picture input of a graph."""

    name: str
    element: int  # onnx.TensorProto.DataType
    layout: str
    channels: int  # 3, or 1 for grey
    height: int
    width: int
    batch: int  # 0 when free

    def cells(self, strides: tuple[int, ...] = (8, 16, 32)) -> int:
        """Places of a map at each stride, together."""
        return sum((self.height // stride) * (self.width // stride) for stride in strides)


@dataclass(frozen=True)
class Limits:
    """What is given out of all candidates."""

    score: float
    iou: float
    top_k: int
