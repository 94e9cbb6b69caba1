"""Pictures with what is known of them, and problems found on the way.

Rules that hold here: boxes are x0, y0, x1, y1 in 0..1 of the picture; a box that sticks out by less than EDGE is cut to
the picture, because exporters round; a picture with any problem is left out as a whole under `bad=skip`, since a box
that is not there teaches that nothing is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protos.errors import Rejected

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
EDGE = 0.005  # of the picture's side
SHOWN = 20  # problems that are listed

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One picture. For classification `boxes` is empty, and `classes` holds the one class of the whole picture."""

    picture: Path
    boxes: tuple[Box, ...] = ()
    classes: tuple[int, ...] = ()
    stated: tuple[int, int] | None = None  # width and height in pixels, where the annotations say


@dataclass(frozen=True)
class Annotated:
    """What a reader found. `val` is None where the user gave no split."""

    root: Path
    layout: str  # in words, for the card
    labels: tuple[str, ...]
    train: tuple[Item, ...]
    val: tuple[Item, ...] | None
    files: tuple[Path, ...] = ()  # the annotation files


@dataclass
class Problems:
    """What is wrong, in the order it was found."""

    lines: list[str] = field(default_factory=list)
    pictures: set[Path] = field(default_factory=set)  # that have any

    def add(self, where: Path, what: str, line: int | None = None, picture: Path | None = None) -> None:
        self.lines.append(f"{where}{'' if line is None else f':{line}'}: {what}")
        if picture is not None:
            self.pictures.add(picture)

    def settle(self, bad: str) -> None:
        """Refuse, or say what is left out; nothing where nothing is wrong.

        Raises:
            Rejected: there are problems, and `bad` is not `skip`.
        """
        if not self.lines:
            return
        if bad != "skip":
            raise Rejected(f"{self.listed()}\nmend them, or leave these pictures out with --set bad=skip")
        print(f"{self.listed()}\nleft out: {len(self.pictures)} pictures", flush=True)

    def listed(self) -> str:
        count = len(self.lines)
        head = f"{count} problem{'s' * (count > 1)} in the annotations or pictures:"
        more = [f"  … and {count - SHOWN} more"] if count > SHOWN else []
        return "\n".join([head, *(f"  {line}" for line in self.lines[:SHOWN]), *more])


def fault_of(box: Sequence[float]) -> str:
    """What is wrong with a box in 0..1 of its picture, or nothing."""
    x0, y0, x1, y1 = box
    if not all(math.isfinite(side) for side in box):
        return "the box has a side that is no finite number"
    if x1 <= x0 or y1 <= y0:
        return "the box has no width or no height"
    if min(x0, y0) < -EDGE or max(x1, y1) > 1 + EDGE:
        return "the box lies outside the picture"
    return ""


def cut(box: Sequence[float]) -> Box:
    """The box within the picture."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, side)) for side in box)
    return x0, y0, x1, y1


def pictures_in(folder: Path) -> list[Path]:
    """Every picture below `folder`, by name."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not _hidden(file, folder))
    return sorted(file for file in found if file.is_file())


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
