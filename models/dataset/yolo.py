"""YOLO's form: a `data.yaml` with class names and where pictures lie, and one text file of labels a picture.

Rules that hold here: a line is `class cx cy width height` in 0..1 of the picture, or `class x y x y x y …` for an
outline, of which the box around it is taken; a picture without a text file holds nothing; labels of `…/images/a.jpg`
are in `…/labels/a.txt`, else beside the picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.dataset.items import Annotated, Box, Item, Problems, cut, fault_of, pictures_in
from protos.errors import Rejected

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
VAL = ("val", "valid", "validation")


def read(file: Path, problems: Problems) -> Annotated:
    """All of a `data.yaml`.

    Raises:
        Rejected: the file cannot be understood, or names pictures that are not there.
    """
    document = _document(file)
    labels = _labels(file, document)
    train = _part(file, document, ("train",), labels, problems)
    if train is None:
        raise Rejected(f"{file} does not say where the pictures for training lie; add a line 'train: images/train'")
    val = _part(file, document, VAL, labels, problems)
    texts = {text for item in (*train, *(val or ())) if (text := labels_file(item.picture)).is_file()}
    return Annotated(
        file.parent, "YOLO", labels, tuple(train), None if val is None else tuple(val), (file, *sorted(texts))
    )


def _document(file: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise Rejected(f"{file}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(document, dict):
        raise Rejected(f"{file}: has to hold 'names' and 'train', as 'key: value' lines")
    return document


def _labels(file: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    names = document.get("names")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise Rejected(f"{file}: 'names' has to number its classes 0, 1, 2, … without a gap")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise Rejected(f"{file}: 'names' has to list the class names, in the order of their numbers")
    if document.get("nc", len(names)) != len(names):
        raise Rejected(f"{file}: 'nc' says {document['nc']} classes, but 'names' has {len(names)}")
    return tuple(str(name) for name in names)


def _part(
    file: Path, document: Mapping[str, Any], keys: tuple[str, ...], labels: tuple[str, ...], problems: Problems
) -> list[Item] | None:
    """Pictures of the first of `keys` that the file has, None where it has none."""
    key = next((key for key in keys if document.get(key)), None)
    if key is None:
        return None
    places = document[key] if isinstance(document[key], list) else [document[key]]
    items: list[Item] = []
    for place in places:
        pictures = _listed(_place(file, document, str(place)), problems)
        items += [_item(picture, labels, problems) for picture in pictures]
    return items


def _place(file: Path, document: Mapping[str, Any], place: str) -> Path:
    """Where `place` is, from `path:` or from the file; `../train` also as `train`, as some exporters mean."""
    bases = [file.parent / str(document["path"])] if document.get("path") else []
    spellings = [place, place.removeprefix("../")]
    places = [base / spelling for base in (*bases, file.parent) for spelling in spellings]
    found = next((candidate for candidate in places if candidate.exists()), None)
    if found is None:
        raise Rejected(f"{file}: there is no {place!r}; looked for {places[0]}")
    return found


def _listed(place: Path, problems: Problems) -> list[Path]:
    """Pictures of a folder, or of a text file that lists them."""
    if place.is_dir():
        return pictures_in(place)
    found = []
    for number, line in enumerate(place.read_text().splitlines(), 1):
        picture = place.parent / line.strip()
        if line.strip() and not picture.is_file():
            problems.add(place, f"there is no picture {line.strip()!r}", number)
        elif line.strip():
            found.append(picture)
    return found


def labels_file(picture: Path) -> Path:
    """The text file of a picture, whether it is there or not."""
    parts = list(picture.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            aside = Path(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")
            beside = picture.with_suffix(".txt")
            return beside if beside.is_file() and not aside.is_file() else aside
    return picture.with_suffix(".txt")


def _item(picture: Path, labels: tuple[str, ...], problems: Problems) -> Item:
    file, boxes, classes = labels_file(picture), [], []
    text = file.read_text(errors="replace") if file.is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        box, label, fault = _row(line.split(), labels)
        if fault:
            problems.add(file, fault, number, picture)
        else:
            boxes.append(cut(box))
            classes.append(label)
    return Item(picture, tuple(boxes), tuple(classes))


def _row(words: list[str], labels: tuple[str, ...]) -> tuple[Box, int, str]:
    """Box, class and what is wrong with them."""
    nothing = (0.0, 0.0, 0.0, 0.0)
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        return nothing, 0, f"{wrong!r} is no number"
    if len(numbers) != 5 and (len(numbers) < 7 or len(numbers) % 2 == 0):
        return nothing, 0, f"{len(numbers)} numbers; a box is five: class, centre x, centre y, width, height"
    label, rest = numbers[0], numbers[1:]
    if not label.is_integer() or not 0 <= label < len(labels):
        return nothing, 0, f"there is no class {words[0]}; data.yaml names 0 to {len(labels) - 1}"
    box = _around(rest) if len(rest) > 4 else _corners(rest)
    if len(rest) == 4 and min(rest[2:]) <= 0:
        return box, 0, f"the box is {rest[2]:g} × {rest[3]:g}; both have to be above 0"
    if max(rest) > 2:
        return box, 0, "the box lies outside the picture: numbers have to be 0..1 of its width and height, not pixels"
    return box, int(label), fault_of(box)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _corners(numbers: list[float]) -> Box:
    x, y, wide, high = numbers
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _around(numbers: list[float]) -> Box:
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
