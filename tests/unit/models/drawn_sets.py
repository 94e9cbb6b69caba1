"""Small annotated sets, drawn: bright squares and bars on dark ground, as COCO, as YOLO and as class folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("square", "bar")
Objects = list[tuple[int, int, int, int, int]]  # x0, y0, x1, y1 in pixels, class


def picture(seed: int, size: tuple[int, int] = (120, 90)) -> tuple[NDArray[np.uint8], Objects]:
    """A picture (BGR) of one or two things, and where they are."""
    rng = np.random.default_rng(seed)
    width, height = size
    ground = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    objects: Objects = []
    for place in range(int(rng.integers(1, 3))):
        label = int(rng.integers(2))
        wide, high = ((18, 18), (34, 10))[label]
        x0 = place * width // 2 + int(rng.integers(2, width // 2 - wide - 2))
        y0 = int(rng.integers(2, height - high - 2))
        tone = [int(value) for value in rng.integers(150, 256, 3)]
        cv2.rectangle(ground, (x0, y0), (x0 + wide - 1, y0 + high - 1), tone, -1)
        objects.append((x0, y0, x0 + wide, y0 + high, label))
    return ground, objects


def coco(root: Path, count: int) -> Path:
    """A COCO folder; the annotation file. Each annotation stands on a line of its own."""
    (root / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        drawn, objects = picture(number)
        name = f"{number:03}.png"
        cv2.imwrite(str(root / "images" / name), drawn)
        images.append({"id": number, "file_name": name, "width": drawn.shape[1], "height": drawn.shape[0]})
        for x0, y0, x1, y1, label in objects:
            box = {"image_id": number, "category_id": 10 * (label + 1), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            annotations.append({"id": len(annotations) + 1, **box})
    categories = [{"id": 10, "name": "square"}, {"id": 20, "name": "bar"}]
    return write_coco(root / "annotations.json", images, annotations, categories)


def write_coco(file: Path, images: list[Any], annotations: list[Any], categories: list[Any]) -> Path:
    lists = {"images": images, "annotations": annotations, "categories": categories}
    parts = [f'"{name}": [\n' + ",\n".join(map(json.dumps, each)) + "\n]" for name, each in lists.items()]
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    return file


def yolo(root: Path, train: int, val: int) -> Path:
    """A YOLO folder with a split; its data.yaml."""
    for part, numbers in (("train", range(1, train + 1)), ("val", range(1001, 1001 + val))):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        for number in numbers:
            drawn, objects = picture(number)
            cv2.imwrite(str(root / "images" / part / f"{number:04}.png"), drawn)
            height, width = drawn.shape[:2]
            lines = [
                f"{label} {(x0 + x1) / 2 / width} {(y0 + y1) / 2 / height} {(x1 - x0) / width} {(y1 - y0) / height}\n"
                for x0, y0, x1, y1, label in objects
            ]
            (root / "labels" / part / f"{number:04}.txt").write_text("".join(lines))
    file = root / "data.yaml"
    file.write_text("path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [square, bar]\n")
    return file


def class_folders(root: Path, count: int, labels: tuple[str, ...] = ("blue", "red")) -> Path:
    """`count` pictures of each class, of which one channel is bright."""
    for number, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for at in range(count):
            rng = np.random.default_rng((number, at))
            drawn = rng.integers(0, 90, (60, 80, 3), dtype=np.uint8)
            drawn[20:40, 20:60, 2 * number % 3] = 220
            cv2.imwrite(str(root / label / f"{at:03}.png"), drawn)
    return root
