"""The network as data: one list of convolutions that two interpreters walk, torch to train and ONNX to export.

Rules that hold here: a layer reads one earlier layer and may add a second before its ReLU; `lifted` means that the
second is enlarged twice first. Head layers have no ReLU. Weights are called `<layer>.weight` and `<layer>.bias`.

    stem /2 ─ s4 /4 ─────────────────────────── lat4 ─ head ─┬─ heat: one score map per class
               └ s8 /8 ───────────── lat8 ─ mix8 ─┘          └─ reach: left, top, right, bottom from the cell's centre
                  └ s16 /16 ──────────┘
"""

from dataclasses import dataclass

SIZE = 320  # pixels; input height and width
PAD = 114  # grey of the letterbox bars
STRIDE = 4  # pixels per cell of the output maps
TOP = 100  # detections per image; the fullest scene holds about fifty objects
MAX_LOG_REACH = 4.5  # e^4.5 cells is more than the picture: keeps exp() finite on any input
LABELS = ("boat", "container", "truck", "person")


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


PLAN = (
    Layer("stem", "image", (3, 16), stride=2),
    Layer("s4", "stem", (16, 32), stride=2),
    Layer("s4a", "s4", (32, 32)),
    Layer("s4b", "s4a", (32, 32), plus="s4"),
    Layer("s8", "s4b", (32, 64), stride=2),
    Layer("s8a", "s8", (64, 64)),
    Layer("s8b", "s8a", (64, 64), plus="s8"),
    Layer("s16", "s8b", (64, 64), stride=2),
    Layer("s16a", "s16", (64, 64)),
    Layer("lat8", "s8b", (64, 64), kernel=1, plus="s16a", lifted=True),
    Layer("mix8", "lat8", (64, 32)),
    Layer("lat4", "s4b", (32, 32), kernel=1, plus="mix8", lifted=True),
    Layer("head", "lat4", (32, 48)),
    Layer("heat", "head", (48, len(LABELS)), kernel=1, relu=False),
    Layer("reach", "head", (48, 4), kernel=1, relu=False),
)
