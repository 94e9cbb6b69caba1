"""The measuring side laid out as a folder of labelled pictures, in the two forms that `longshore package` takes.

Rules that hold here: pictures are linked and not copied; one of a kind that the command does not read is written anew
as PNG, which loses nothing; a picture is called by its row, so that equal names of two folders stay apart.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2

from models.dataset.items import Box
from models.dataset.pictures import Seen

READ = (".jpg", ".jpeg", ".png")


def as_yolo(pictures: Sequence[Seen], folder: Path) -> None:
    """`images/` and `labels/`; class numbers are the release's own."""
    (folder / "labels").mkdir(parents=True)
    (folder / "images").mkdir()
    for picture in pictures:
        item = picture.item
        rows = [row(label, box) for label, box in zip(item.classes, item.boxes, strict=True)]
        file = _laid(picture, folder / "images")
        (folder / "labels" / f"{file.stem}.txt").write_text("".join(rows))


def as_class_folders(pictures: Sequence[Seen], labels: Sequence[str], folder: Path) -> None:
    """A folder of every class, though none of it may be there to measure on."""
    for label in labels:
        (folder / label).mkdir(parents=True)
    for picture in pictures:
        _laid(picture, folder / labels[picture.item.classes[0]])


def row(label: int, box: Box) -> str:
    """`class x y width height`, in 0..1 of the picture."""
    x0, y0, x1, y1 = box
    return f"{label} {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n"


def _laid(picture: Seen, folder: Path) -> Path:
    source = picture.item.picture
    suffix = source.suffix.lower()
    file = folder / f"{picture.row:06}{suffix if suffix in READ else '.png'}"
    if suffix in READ:
        file.symlink_to(source.absolute())
    else:
        cv2.imwrite(str(file), cv2.imread(str(source), cv2.IMREAD_COLOR))
    return file
