"""From a detection graph's outputs to boxes on the picture. Pure; runs in the engine worker.

The graph gives corners normalised to its input and scores in descending order; `Geometry` says where the picture lies
in that input. Boxes leave normalised to the picture, clipped to it; what lies wholly in the padding is dropped.
An answer that is no number is no answer: told as nothing seen, it would be a lie. Corners at infinity are cut like any
other, and a score of minus infinity is low, as graphs write it that strike a row out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.inference.errors import NotANumber
from agent.inference.messages import Rows
from agent.types import Geometry

MAX_ROWS = 2000  # of a frame, best first
MESSAGE_ROWS = 3500  # of all frames of a call: what fits one message


def to_picture(corners: NDArray[np.float32], geometry: Geometry, height: int, width: int) -> NDArray[np.float32]:
    """Corners normalised to the model input → normalised to the picture, unclipped."""
    across = np.float32(geometry.scale_x * geometry.picture_width)
    down = np.float32(geometry.scale_y * geometry.picture_height)
    scale = np.array([width / across, height / down] * 2, dtype=np.float32)
    shift = np.array([geometry.left / across, geometry.top / down] * 2, dtype=np.float32)
    return corners * scale - shift


def select(
    corners: NDArray[np.float32], scores: NDArray[np.float32], min_score: float
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Corners clipped to the picture and the rows worth keeping: scored, with an area."""
    clipped = np.clip(corners, 0.0, 1.0)
    solid = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return clipped, np.flatnonzero(solid & (scores >= min_score))


def likely(
    corners: NDArray[np.float32], scores: NDArray[np.float32], min_score: float, most: int = MAX_ROWS
) -> NDArray[np.intp]:
    """The first rows that score so much. Raises NotANumber where one of them is no box of numbers."""
    found = np.flatnonzero(~(scores < min_score))[:most]  # a NaN is below nothing
    if found.size and (not np.isfinite(scores[found]).all() or np.isnan(corners[found]).any()):
        raise NotANumber("the model answered with what is no number (NaN or infinity); deploy another release")
    return found


def rows(
    outputs: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]],
    geometry: Geometry,
    size: tuple[int, int],
    min_score: float,
    most: int = MAX_ROWS,
) -> Rows:
    """The kept detections of one frame; `outputs` are its [K, 4] boxes, [K] scores, [K] classes, `size` (h, w).

    Raises NotANumber.
    """
    boxes, scores, classes = outputs
    worth = likely(boxes, scores, min_score, most)  # mostly few of K: the rest is not worth the arithmetic
    if not worth.size:
        return []
    clipped, keep = select(to_picture(boxes[worth], geometry, *size), scores[worth], min_score)
    corners = clipped[keep].tolist()
    chosen = worth[keep]
    return [
        (*corner, score, index)
        for corner, score, index in zip(corners, scores[chosen].tolist(), classes[chosen].tolist(), strict=True)
    ]


def refit(result: dict[str, NDArray[np.generic]], geometry: Geometry, size: tuple[int, int], min_score: float) -> None:
    """Turn the outputs of one encoded picture into the kept boxes on that picture, best first, still with batch 1.

    Raises NotANumber.
    """
    boxes = np.asarray(result["boxes"][0], dtype=np.float32)
    scores = np.asarray(result["scores"][0], dtype=np.float32)
    likely(boxes, scores, min_score)
    clipped, keep = select(to_picture(boxes, geometry, *size), scores, min_score)
    result["boxes"] = clipped[np.newaxis, keep]
    result["scores"] = result["scores"][:, keep]
    result["classes"] = result["classes"][:, keep]
