"""Networks as lists of convolutions.

Rules that hold here: a layer reads one earlier layer and may add a second before its ReLU; `lifted` means that the
second is enlarged twice first. Head layers have no ReLU. Weights are called `<layer>.weight` and `<layer>.bias`; layers
of the same name and shape in two plans may exchange them.

    stem /2 ─ s4 /4 ─────────────────────────────────────────── lat4 ─ head ─┬─ heat: one score map per class
               └ s8 /8 ───────────────────────────── lat8 ─ mix8 ─┘          └─ reach: left, top, right, bottom
                  └ s16 /16 ────────── lat16 ─ mix16 ─┘                         from the cell's centre
                     └ s32 /32 ─ top32 ─┘      (the small detector ends at s16, which goes straight to lat8)
"""

import math
from dataclasses import dataclass

PAD = 114  # grey of the letterbox bars
STRIDE = 4  # pixels per cell of a detector's output maps
COARSEST = 32  # pixels per cell of the coarsest map: what a side must be a multiple of
TOP = 100  # detections per image


@dataclass(frozen=True)
class Layer:
    name: str
    source: str
    channels: tuple[int, int]  # in, out
    kernel: int = 3
    stride: int = 1
    plus: str | None = None
    lifted: bool = False
    relu: bool = True


Plan = tuple[Layer, ...]

_TRUNK = (
    Layer("stem", "image", (3, 16), stride=2),
    Layer("s4", "stem", (16, 32), stride=2),
    Layer("s4a", "s4", (32, 32)),
    Layer("s4b", "s4a", (32, 32), plus="s4"),
    Layer("s8", "s4b", (32, 64), stride=2),
    Layer("s8a", "s8", (64, 64)),
    Layer("s8b", "s8a", (64, 64), plus="s8"),
    Layer("s16", "s8b", (64, 64), stride=2),
    Layer("s16a", "s16", (64, 64)),
)
_DEEP = (
    *_TRUNK,
    Layer("s16b", "s16a", (64, 64), plus="s16"),
    Layer("s32", "s16b", (64, 96), stride=2),
    Layer("s32a", "s32", (96, 96)),
    Layer("s32b", "s32a", (96, 96), plus="s32"),
)


def small_detector(classes: int) -> Plan:
    """For things up to about 130 px: a cell sees no further."""
    return (*_TRUNK, Layer("lat8", "s8b", (64, 64), kernel=1, plus="s16a", lifted=True), *_finest(classes))


def detector(classes: int) -> Plan:
    """For things of any size up to 350 px: what a cell of the coarsest map sees."""
    return (
        *_DEEP,
        Layer("top32", "s32b", (96, 64), kernel=1),
        Layer("lat16", "s16b", (64, 64), kernel=1, plus="top32", lifted=True),
        Layer("mix16", "lat16", (64, 64)),
        Layer("lat8", "s8b", (64, 64), kernel=1, plus="mix16", lifted=True),
        *_finest(classes),
    )


def classifier() -> Plan:
    """Down to the last map; its mean over the picture goes into one linear layer, `class`."""
    return _DEEP


def _finest(classes: int) -> Plan:
    return (
        Layer("mix8", "lat8", (64, 32)),
        Layer("lat4", "s4b", (32, 32), kernel=1, plus="mix8", lifted=True),
        Layer("head", "lat4", (32, 48)),
        Layer("heat", "head", (48, classes), kernel=1, relu=False),
        Layer("reach", "head", (48, 4), kernel=1, relu=False),
    )


def max_log_reach(size: int) -> float:
    """More cells than the picture has, as a logarithm: keeps exp() finite on any input. 4.5 at 320 px."""
    return max(4.5, round(math.log(size / STRIDE) + 0.1, 1))
