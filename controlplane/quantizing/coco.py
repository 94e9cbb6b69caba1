"""COCO annotations: one JSON file with images, categories and annotations, boxes as x, y, width, height in pixels."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.quantizing.datasets import Dataset, numbers_of
from controlplane.quantizing.metrics import truth
from protos.errors import Rejected

Json = dict[str, Any]


def read(path: Path, labels: Sequence[str]) -> Dataset:
    """Raises Rejected, naming the annotation that is wrong."""
    document = _document(path)
    categories = document["categories"]
    by_place = numbers_of([str(each["name"]) for each in categories], labels, path)
    numbers = {categories[place]["id"]: number for place, number in by_place.items()}
    sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
    boxes: dict[int, list[tuple[int, list[float]]]] = defaultdict(list)
    unknown = 0
    for annotation in document["annotations"]:
        if annotation.get("iscrowd"):
            continue
        corners = _corners(annotation, sizes, path)
        if annotation["category_id"] in numbers:
            boxes[annotation["image_id"]].append((numbers[annotation["category_id"]], corners))
        else:
            unknown += 1
    base = _base(path, document["images"])
    truths = {
        base / image["file_name"]: truth([box for _, box in boxes[image["id"]]], [c for c, _ in boxes[image["id"]]])
        for image in document["images"]
    }
    return Dataset(truths, unknown=unknown)


def _document(path: Path) -> Json:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Rejected(f"{path} is no JSON that can be read: {error}") from error
    for key, needed in (
        ("images", "id file_name width height"),
        ("categories", "id name"),
        ("annotations", "image_id"),
    ):
        items = document.get(key) if isinstance(document, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Rejected(f"{path} is no COCO file: it has no list {key!r}")
        for number, item in enumerate(items):
            if missing := [name for name in needed.split() if name not in item]:
                raise Rejected(f"{path}: {key}[{number}] has no {missing[0]!r}")
    return dict(document)


def _corners(annotation: Json, sizes: dict[int, tuple[float, float]], path: Path) -> list[float]:
    """0..1 of the picture."""
    name = f"{path}: annotation {annotation.get('id', '?')}"
    width, height = sizes.get(annotation["image_id"], (0, 0))
    if not width or not height:
        raise Rejected(f"{name} is of image {annotation['image_id']}, which is not listed with a size")
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
        raise Rejected(f"{name} has no bbox of four numbers x, y, width, height")
    x, y, wide, high = box
    if wide < 0 or high < 0:
        raise Rejected(f"{name} has a bbox of negative size: {box}")
    return [x / width, y / height, (x + wide) / width, (y + high) / height]


def _base(path: Path, images: Sequence[Json]) -> Path:
    """The folder that file names start from: beside the annotations, or one of the usual places."""
    if not images:
        raise Rejected(f"{path} lists no images")
    first, above = images[0]["file_name"], path.parent.parent
    near = [path.parent, path.parent / "images", above, *sorted(above.glob("*")), *sorted(above.glob("images/*"))]
    for folder in near:
        if (folder / first).is_file():
            return folder
    raise Rejected(f"{path} names {first}, which lies neither beside it nor in {above} or a folder there")
