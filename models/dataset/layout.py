"""Which form a folder of annotated pictures has, and everything in it.

YOLO            a data.yaml, or its path
COCO            *.json in the folder, in `annotations`, or beside pictures in `train` and `val`; or its path
class folders   for classification: one folder a class, optionally below `train` and `val`
"""

from collections.abc import Mapping
from pathlib import Path

from models.dataset import class_folders, coco, yolo
from models.dataset.items import Annotated, Item, Problems, pictures_in
from protos.errors import Rejected

MOST_JSON = 20  # files looked at: a folder with more is no COCO folder
VAL = ("val", "valid", "validation")


def read_classification(place: str, problems: Problems) -> Annotated:
    """Raises Rejected when `place` is no folder of class folders."""
    root = _existing(place, folder=True)
    if any((root / name).is_file() for name in yolo.NAMES):
        raise Rejected(f"{root} has a data.yaml, so it holds boxes; the recipe 'detector' learns from them")
    return class_folders.read(root, problems)


def read_detection(place: str, problems: Problems) -> Annotated:
    """Raises Rejected when `place` is neither a YOLO nor a COCO folder or file, or it cannot be understood."""
    root = _existing(place)
    if root.suffix.lower() in (".yaml", ".yml"):
        return yolo.read(root, problems)
    if root.suffix.lower() == ".json":
        return _coco(root.parent, [root], problems)
    if root.is_file():
        raise Rejected(f"{root} is neither a folder, a data.yaml nor a COCO .json file")
    described = next((root / name for name in yolo.NAMES if (root / name).is_file()), None)
    if described is not None:
        return yolo.read(described, problems)
    if files := _json_files(root):
        return _coco(root, files, problems)
    neither = f"{root} holds neither a data.yaml (YOLO) nor a .json file with annotations (COCO)"
    if any(pictures_in(folder) for folder in root.iterdir() if folder.is_dir()):
        raise Rejected(f"{neither}; if its folders are classes, the recipe 'classifier' learns from them")
    raise Rejected(f"{neither}; docs/own-data.md shows both")


def _existing(place: str, *, folder: bool = False) -> Path:
    if not place:
        raise Rejected("say where your pictures are: --set data=/path/to/folder")
    root = Path(place).expanduser()
    if not root.exists() or (folder and not root.is_dir()):
        raise Rejected(f"there is no folder {root} on this machine; --set data= takes the path of a folder of pictures")
    return root


def _json_files(root: Path) -> list[Path]:
    found = sorted({*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob("*/*.json")})
    detection = [file for file in found if not file.name.startswith(("captions_", "person_keypoints_", "."))]
    return detection[:MOST_JSON]


def _coco(root: Path, files: list[Path], problems: Problems) -> Annotated:
    train, val = (None if file is None else coco.loaded(file) for file in _sorted_by_split(root, files))
    assert train is not None
    names = coco.labels_of(train)
    if val is not None and coco.labels_of(val) != names:
        raise Rejected(f"{train.path} and {val.path} name different categories; both need the same ids and names")
    categories: Mapping[object, int] = {number: index for index, number in enumerate(names)}

    def items(file: coco.Loaded) -> tuple[Item, ...]:
        return tuple(coco.read(file, root, categories, problems))

    used = tuple(file.path for file in (train, val) if file is not None)
    return Annotated(root, "COCO", tuple(names.values()), items(train), None if val is None else items(val), used)


def _sorted_by_split(root: Path, files: list[Path]) -> tuple[Path, Path | None]:
    """The file for training, and the one for validation where there is one. Names and folders tell them apart."""
    kinds: dict[str, list[Path]] = {"train": [], "val": [], "test": [], "": []}
    for file in files:
        kinds[_split_of(file, root)].append(file)
    training = kinds["train"] or kinds[""]
    if len(training) != 1 or len(kinds["val"]) > 1:
        names = ", ".join(str(file.relative_to(root)) for file in files)
        raise Rejected(f"{root}: one file with 'train' and one with 'val' in its name is needed; there are: {names}")
    return training[0], kinds["val"][0] if kinds["val"] else None


def _split_of(file: Path, root: Path) -> str:
    words = [file.stem.lower(), *(part.lower() for part in file.relative_to(root).parts[:-1])]
    for kind, spellings in (("train", ("train",)), ("val", VAL), ("test", ("test",))):
        if any(spelling in word for word in words for spelling in spellings):
            return kind
    return ""
