"""Pictures as a box sees them: fitted by the agent, read from what `longshore-agent frames` writes.

The stream is one JSON line with height and width, then for each picture a JSON line and height × width × 3 bytes of
RGB. A picture that was sent as JPEG tells how, and how many bytes it took.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from controlplane.quantizing.metrics import Floats, Found
from protos.errors import Rejected

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """`name`: the file it came from, or its number in a film. `window`: where the picture lies in the input, 0..1."""

    name: str
    pixels: Pixels  # [height, width, 3]
    window: tuple[float, float, float, float]  # left, top, width, height
    share: float = 0.0  # of all that have come with it, for a bar
    quality: int = 0  # of the JPEG that it was; 0: of none
    max_side: int = 0  # pixels
    bytes: int = 0


def read(stream: IO[bytes]) -> Iterator[Frame]:
    """The frames of a stream, as they come. Raises Rejected when it breaks off."""
    head = stream.readline()
    if not head:
        return  # the agent has said why on standard error
    shape = json.loads(head)
    nbytes = shape["height"] * shape["width"] * 3
    while line := stream.readline():
        told, content = json.loads(line), stream.read(nbytes)
        if len(content) != nbytes:
            raise Rejected("the agent broke off in a picture; run again")
        pixels = np.frombuffer(content, np.uint8).reshape(shape["height"], shape["width"], 3)
        sent = (told.get(key, 0) for key in ("quality", "maxSide", "bytes"))
        yield Frame(told["name"], pixels, tuple(told["window"]), told["share"], *sent)


def on_picture(boxes: Floats, scores: Floats, classes: NDArray[np.int64], frame: Frame) -> Found:
    """What a graph gave for a frame, as the agent reads it: in 0..1 of the picture, clipped, with area and score."""
    left, top, width, height = frame.window
    corners = np.clip((boxes - [left, top, left, top]) / [width, height, width, height], 0.0, 1.0)
    solid = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    return Found(corners, scores, classes).of(solid & (scores > 0.0))
