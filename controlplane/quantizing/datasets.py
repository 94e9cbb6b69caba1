"""Labelled pictures to judge by: a COCO file, a YOLO folder, or a folder of class folders. Files in, truths out.

Classes are matched by name, without regard to case; a dataset without names gives class numbers, which are the
release's own. Classes that the release does not know are left out and counted. Bad annotations are refused by file and
line, since a wrong truth makes a wrong judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.quantizing.domain import spread
from controlplane.quantizing.metrics import Found
from protos.errors import Rejected

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST = 1000  # pictures; more moves the third digit


@dataclass(frozen=True)
class Dataset:
    """Pictures with their truths: boxes for detection, a class number for classification."""

    boxes: dict[Path, Found] = field(default_factory=dict)
    classes: dict[Path, int] = field(default_factory=dict)
    unknown: int = 0  # annotations of classes that the release does not know

    @property
    def pictures(self) -> list[Path]:
        return [*self.boxes, *self.classes]

    def without(self, used: set[Path]) -> Dataset:
        """At most MOST pictures, none of them in `used`."""
        kept = spread([path for path in self.pictures if path.resolve() not in used], MOST)
        boxes = {path: self.boxes[path] for path in kept if path in self.boxes}
        return Dataset(boxes, {path: self.classes[path] for path in kept if path in self.classes}, self.unknown)


def pictures_below(folder: Path) -> list[Path]:
    """Raises Rejected when there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise Rejected(f"{folder} holds no {', '.join(SUFFIXES)} file")
    return found


def opened(path: Path, task: str, labels: Sequence[str]) -> Dataset:
    """Raises Rejected for what is no dataset of this task, naming file and line of a bad annotation."""
    if not path.exists():
        raise Rejected(f"{path} is not there; name a COCO .json, a YOLO folder or a folder of class folders")
    if task == "classification":
        return _class_folders(path, labels)
    if path.is_file():
        from controlplane.quantizing import coco

        return coco.read(path, labels)
    from controlplane.quantizing import yolo

    annotations = sorted(path.glob("*.json")) + sorted(path.glob("annotations/*.json"))
    if len(annotations) > 1:
        raise Rejected(f"{path} holds {len(annotations)} annotation files; name one of them, such as {annotations[-1]}")
    if annotations:
        from controlplane.quantizing import coco

        return coco.read(annotations[0], labels)
    return yolo.read(path, labels)


def numbers_of(names: Sequence[str], labels: Sequence[str], where: Path) -> dict[int, int]:
    """Class number of the dataset → of the release, by name. Raises Rejected when no name is known."""
    ours = {label.casefold(): number for number, label in enumerate(labels)}
    ours |= {label: number for number, label in enumerate(labels)}  # two that differ in case alone stay apart
    spelt = {number: name if name in ours else name.casefold() for number, name in enumerate(names)}
    known = {number: ours[name] for number, name in spelt.items() if name in ours}
    if not known:
        raise Rejected(f"{where} has classes {_some(names)}, and the release {_some(labels)}: none is the same")
    return known


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:4]) + (", …" if len(names) > 4 else "")


def _class_folders(path: Path, labels: Sequence[str]) -> Dataset:
    folders = sorted(each for each in path.iterdir() if each.is_dir()) if path.is_dir() else []
    if not folders:
        raise Rejected(f"{path} holds no folders; for classification, give one folder of pictures for each class")
    known = numbers_of([folder.name for folder in folders], labels, path)
    classes: dict[Path, int] = {}
    unknown = 0
    for number, folder in enumerate(folders):
        files = [each for each in sorted(folder.rglob("*")) if each.suffix.lower() in SUFFIXES]
        if number in known:
            classes.update(dict.fromkeys(files, known[number]))
        else:
            unknown += len(files)
    return Dataset(classes=classes, unknown=unknown)
