"""A YOLO folder: pictures, and beside them (or in labels/ for images/) a .txt each: `class x y width height` in 0..1.

`data.yaml` or `classes.txt` may name the classes, and `data.yaml` the pictures to judge by (`val`). A picture without a
.txt shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.quantizing.datasets import Dataset, numbers_of, pictures_below
from controlplane.quantizing.metrics import Found, truth
from protos.errors import Rejected


def read(folder: Path, labels: Sequence[str]) -> Dataset:
    """Raises Rejected, naming file and line of what is wrong."""
    described = _described(folder)
    names = _names(folder, described)
    numbers = numbers_of(names, labels, folder) if names else {number: number for number in range(len(labels))}
    pictures = pictures_below(_judged(folder, described))
    notes = {picture: _beside(picture) for picture in pictures}
    if not any(note.is_file() for note in notes.values()):
        raise Rejected(f"{folder} holds pictures, but no annotation such as {notes[pictures[0]]}")
    boxes: dict[Path, Found] = {}
    unknown = 0
    for picture, note in notes.items():
        rows = _rows(note, len(names or labels)) if note.is_file() else []
        kept = [(numbers[number], corners) for number, corners in rows if number in numbers]
        unknown += len(rows) - len(kept)
        boxes[picture] = truth([corners for _, corners in kept], [number for number, _ in kept])
    return Dataset(boxes, unknown=unknown)


def _described(folder: Path) -> dict[str, Any]:
    import yaml

    path = next((path for path in (folder / "data.yaml", folder / "dataset.yaml") if path.is_file()), None)
    if path is None:
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Rejected(f"{path} is no YAML that can be read") from error
    return document if isinstance(document, dict) else {}


def _names(folder: Path, described: dict[str, Any]) -> list[str]:
    names = described.get("names")
    if isinstance(names, dict):
        return [str(names[key]) for key in sorted(names)]
    if isinstance(names, list):
        return [str(name) for name in names]
    lines = folder / "classes.txt"
    return lines.read_text(encoding="utf-8").split("\n")[:-1] if lines.is_file() else []


def _judged(folder: Path, described: dict[str, Any]) -> Path:
    """`val` of data.yaml where that is a folder in here, else everything."""
    root = folder / str(described.get("path") or ".")
    wished = described.get("val")
    for place in (folder / str(wished), root / str(wished)):
        if wished and place.is_dir():
            return place
    return folder


def _beside(picture: Path) -> Path:
    parts = list(picture.parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    return Path(*parts).with_suffix(".txt")


def _rows(path: Path, classes: int) -> list[tuple[int, list[float]]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(line.split(), classes))
        except ValueError as error:
            raise Rejected(f"{path}, line {number}: {error}") from error
    return rows


def _row(words: list[str], classes: int) -> tuple[int, list[float]]:
    """Raises ValueError with what is wrong."""
    if len(words) != 5 or not words[0].isdigit():
        raise ValueError("must be five numbers: class x y width height")
    if int(words[0]) >= classes:
        raise ValueError(f"class {words[0]} is not one of the {classes} known, 0 to {classes - 1}")
    x, y, wide, high = (float(word) for word in words[1:])
    if not all(math.isfinite(side) and -0.01 <= side <= 1.01 for side in (x, y, wide, high)):
        raise ValueError("x, y, width and height must be shares of the picture, 0 to 1")
    return int(words[0]), [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
