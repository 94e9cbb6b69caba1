"""What a folded graph must give, in plain numpy and loops: pixels, decoding, suppression, the best K."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.sim.exports import ANCHORS, BINS, HEIGHT, STRIDES, WIDTH, grid

Array = NDArray[Any]
SIDES = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])


def planes(pictures: Array, mean: Array, scale: Array, *, bgr: bool = False) -> Array:
    """uint8 [N,H,W,3] RGB → float32 [N,3,H,W]."""
    ordered = pictures[..., ::-1] if bgr else pictures
    return ((ordered.astype(np.float64) - mean) / scale).transpose(0, 3, 1, 2).astype(np.float32)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def softmax(x: Array) -> Array:
    raised = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def corners(middle_and_size: Array) -> Array:
    x, y, w, h = np.moveaxis(middle_and_size.astype(np.float64), -1, 0)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)


def of_yolov8(output: Array) -> tuple[Array, Array]:
    """Corners [N,S,4] in 0..1 and scores [N,S,C] of output0 [N,4+C,S]."""
    rows = output.transpose(0, 2, 1)
    return corners(rows[..., :4]) / SIDES, rows[..., 4:]


def of_yolov8_maps(*maps: Array) -> tuple[Array, Array]:
    rows = np.concatenate([each.reshape(*each.shape[:2], -1) for each in maps], 2).transpose(0, 2, 1)
    count, places = rows.shape[:2]
    reach = softmax(rows[..., : 4 * BINS].reshape(count, places, 4, BINS)) @ np.arange(BINS)
    where, steps = grid(0.5)
    found = np.concatenate([where - reach[..., :2], where + reach[..., 2:]], -1) * steps
    return found / SIDES, sigmoid(rows[..., 4 * BINS :])


def of_yolov5(output: Array) -> tuple[Array, Array]:
    return corners(output[..., :4]) / SIDES, output[..., 4:5] * output[..., 5:]


def of_yolov5_maps(*maps: Array) -> tuple[Array, Array]:
    """Of [N,3,h,w,5+C], all logits, one number after the other."""
    rows = []
    for found, stride, anchors in zip(maps, STRIDES, ANCHORS, strict=True):
        value = sigmoid(found)
        for anchor, (wide, high) in enumerate(anchors):
            for y in range(found.shape[2]):
                for x in range(found.shape[3]):
                    one = value[:, anchor, y, x].copy()
                    one[:, 0] = (2 * one[:, 0] - 0.5 + x) * stride
                    one[:, 1] = (2 * one[:, 1] - 0.5 + y) * stride
                    one[:, 2] = (2 * one[:, 2]) ** 2 * wide
                    one[:, 3] = (2 * one[:, 3]) ** 2 * high
                    rows.append(one)
    return of_yolov5(np.stack(rows, 1))


def of_yolox(output: Array) -> tuple[Array, Array]:
    where, steps = grid()
    found = output.astype(np.float64)
    found[..., :2] = (found[..., :2] + where) * steps
    found[..., 2:4] = np.exp(found[..., 2:4]) * steps
    return of_yolov5(found)


def overlap(one: Array, other: Array) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(wide * high / (sum(areas) - wide * high))


def chosen(
    boxes: Array, scores: Array, score: float, iou: float, top: int, *, several: bool = False
) -> tuple[Array, Array, Array]:
    """The best `top` of one picture: boxes [S,4], scores [S,C]. Empty slots are zeros."""
    if several:
        rows = [(scores[s, c], s, c) for s in range(len(scores)) for c in range(scores.shape[1])]
    else:
        rows = [(line.max(), s, int(line.argmax())) for s, line in enumerate(scores)]
    rows = sorted((row for row in rows if row[0] > score), key=lambda row: -row[0])
    kept: list[tuple[float, int, int]] = []
    for row in rows:
        if all(row[2] != other[2] or overlap(boxes[row[1]], boxes[other[1]]) <= iou for other in kept):
            kept.append(row)
    out = (np.zeros((top, 4)), np.zeros(top), np.zeros(top, np.int64))
    for at, (value, place, label) in enumerate(kept[:top]):
        out[0][at], out[1][at], out[2][at] = np.clip(boxes[place], 0, 1), value, label
    return out
