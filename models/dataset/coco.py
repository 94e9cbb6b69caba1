"""COCO's form: one JSON file with `images`, `annotations` and `categories`; `bbox` is x, y, width, height in pixels.

Rules that hold here: classes are the categories in the order of their ids; a crowd (`iscrowd`) is no object; pictures
are looked for beside the file, in `images` and in a folder named after the split.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.dataset.items import Box, Item, Problems, cut, fault_of
from models.dataset.json_lines import Element, lists_of
from protos.errors import Rejected


@dataclass(frozen=True)
class _Picture:
    path: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class _File:
    """One annotation file while it is read."""

    path: Path
    lists: Mapping[str, list[Element]]
    problems: Problems

    def unique(self, name: str) -> dict[Any, Element]:
        """Elements by id; what has none, or another's, is a problem."""
        by_id: dict[Any, Element] = {}
        for element in self.lists[name]:
            number = element.value.get("id") if isinstance(element.value, dict) else None
            if isinstance(number, bool) or not isinstance(number, int | str):
                self.problem(element, f"an element of {name!r} without an id")
            elif number in by_id:
                self.problem(element, f"{name[:-1]} id {number} is already used in line {by_id[number].line}")
            else:
                by_id[number] = element
        return by_id

    def problem(self, element: Element, what: str, picture: Path | None = None) -> None:
        self.problems.add(self.path, what, element.line, picture)


@dataclass(frozen=True)
class Loaded:
    """A file and its lists."""

    path: Path
    lists: Mapping[str, list[Element]]


def loaded(path: Path) -> Loaded:
    """Raises Rejected when the file is no JSON object."""
    return Loaded(path, lists_of(path))


def labels_of(file: Loaded) -> dict[Any, str]:
    """Names of the categories by id, in the order of their ids. Raises Rejected when there are none."""
    named = {
        element.value["id"]: str(element.value.get("name") or element.value["id"])
        for element in file.lists.get("categories", [])
        if isinstance(element.value, dict) and isinstance(element.value.get("id"), int | str)
    }
    if not named:
        raise Rejected(f"{file.path} has no 'categories' with an id; a COCO file names its classes there")
    return dict(sorted(named.items(), key=lambda item: (str(type(item[0])), item[0])))


def read(source: Loaded, root: Path, categories: Mapping[Any, int], problems: Problems) -> list[Item]:
    """Every picture of one file. `categories` gives the class of each category id. Raises Rejected for another form."""
    for name in ("images", "annotations"):
        if name not in source.lists:
            raise Rejected(f"{source.path} has no list {name!r}; it is no COCO detection file")
    file = _File(source.path, source.lists, problems)
    entries = file.unique("images")
    pictures = _pictures(file, entries, root)
    boxes: dict[Any, list[tuple[Box, int]]] = {number: [] for number in pictures}
    for number, element in file.unique("annotations").items():
        of, crowd = _id(element.value.get("image_id")), element.value.get("iscrowd")
        if of not in entries:
            file.problem(element, f"annotation {number}: there is no image with id {of!r}")
        elif of in pictures and not crowd:  # an entry that is wrong itself was told already
            box, label, fault = _annotation(element.value, pictures[of], categories)
            if fault:
                file.problem(element, f"annotation {number}: {fault}", pictures[of].path)
            boxes[of].append((box, label))
    return [
        Item(picture.path, tuple(b for b, _ in boxes[n]), tuple(c for _, c in boxes[n]), picture.size)
        for n, picture in pictures.items()
    ]


def _annotation(value: Mapping[str, Any], picture: _Picture, categories: Mapping[Any, int]) -> tuple[Box, int, str]:
    """Box, class and what is wrong with them."""
    category = _id(value.get("category_id"))
    if category not in categories:
        return (0.0, 0.0, 0.0, 0.0), 0, f"there is no category with id {category!r}"
    box, fault = _box(value, picture)
    return (box if fault else cut(box)), categories[category], fault


def _id(value: object) -> object:
    """An id as it can be looked up: a list is none, and shown as it is."""
    return value if isinstance(value, int | str | None) else str(value)


def _pictures(file: _File, entries: Mapping[Any, Element], root: Path) -> dict[Any, _Picture]:
    """Pictures by id whose entry is right."""
    found: dict[Any, _Picture] = {}
    folders = _folders(file.path, root)
    names: dict[str, int] = {}
    for number, element in entries.items():
        name, size = element.value.get("file_name"), (element.value.get("width"), element.value.get("height"))
        if not isinstance(name, str) or not name:
            file.problem(element, f"image {number} has no file_name")
            continue
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            file.problem(element, f"image {number}: there is no picture {name!r}")
        elif name in names:
            file.problem(element, f"image {number}: picture {name!r} is already listed in line {names[name]}", path)
        elif not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size):
            file.problem(element, f"image {number} needs a width and a height above 0", path)
        else:
            found[number] = _Picture(path, size)
            names[name] = element.line
    return found


def _folders(file: Path, root: Path) -> list[Path]:
    """Where pictures may lie, the likeliest first."""
    split = file.stem.split("_")[-1]  # instances_train2017 → train2017
    places = [file.parent, root, root / "images", root / split, root / "images" / split, file.parent / "images"]
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _box(annotation: Mapping[str, Any], picture: _Picture) -> tuple[Box, str]:
    """The box in 0..1 of the picture, and what is wrong with it."""
    bbox, nowhere = annotation.get("bbox"), (0.0, 0.0, 0.0, 0.0)
    if not isinstance(bbox, list) or len(bbox) != 4:
        return nowhere, "'bbox' has to be a list of x, y, width and height"
    if not all(isinstance(side, int | float) and not isinstance(side, bool) for side in bbox):
        return nowhere, f"'bbox' {bbox} holds something that is no number"
    x, y, wide, high = (float(side) for side in bbox)
    width, height = picture.size
    box = (x / width, y / height, (x + wide) / width, (y + high) / height)
    if math.isfinite(wide) and math.isfinite(high) and (wide <= 0 or high <= 0):
        return box, f"the box is {wide:g} × {high:g} pixels; both have to be above 0"
    fault = fault_of(box)
    detail = f" ({x:g}, {y:g}, {wide:g} × {high:g} in {width} × {height} pixels)" if "outside" in fault else ""
    return box, fault + detail
