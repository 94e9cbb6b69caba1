"""Class folders: one folder of pictures a class, optionally below `train` and `val`."""

from pathlib import Path

from models.dataset.items import Annotated, Item, Problems, pictures_in
from protos.errors import Rejected

VAL = ("val", "valid", "validation")


def read(root: Path, problems: Problems) -> Annotated:
    """Classes are the folders by name.

    Raises:
        Rejected: fewer than two classes.
    """
    parts = {folder.name.lower(): folder for folder in _folders(root)}
    split = parts.get("train")
    train = split or root
    labels = tuple(folder.name for folder in _folders(train))
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise Rejected(f"{train} needs a folder of pictures for each of two or more classes; there is {found}")
    val = next((parts[name] for name in VAL if split and name in parts), None)
    if val is not None:
        for folder in _folders(val):
            if folder.name not in labels:
                problems.add(folder, f"class {folder.name!r} is not in {train}")
    training = _items(train, labels, problems)
    return Annotated(root, "class folders", labels, training, None if val is None else _items(val, labels, problems))


def _items(place: Path, labels: tuple[str, ...], problems: Problems) -> tuple[Item, ...]:
    items: list[Item] = []
    for number, label in enumerate(labels):
        pictures = pictures_in(place / label) if (place / label).is_dir() else []
        if not pictures:
            problems.add(place / label, "no picture of this class")
        items += [Item(picture, classes=(number,)) for picture in pictures]
    return tuple(items)


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
