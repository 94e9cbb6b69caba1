"""From a user's folder to what is trained on: annotations read, pictures read, problems settled, a split made.

Rules that hold here: all problems of annotations and pictures are told together, before a step of training; what is
left is at least one picture with something in it on either side.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dataset.items import Annotated, Problems
from models.dataset.pictures import Seen, Told, dataset_digest, read_squares
from models.dataset.split import Split, check_leaks, drawn, given
from models.network.plan import COARSEST
from models.run.folder import write_whole
from protos.errors import Rejected

Reader = Callable[[str, Problems], Annotated]


@dataclass(frozen=True)
class Wish:
    """The settings that say what to prepare."""

    data: str
    size: int
    val: float
    bad: str  # refuse or skip
    seed: int


@dataclass(frozen=True)
class Prepared:
    labels: tuple[str, ...]
    squares: NDArray[np.uint8]  # [N, size, size, 3], in a file
    split: Split
    layout: str
    given: bool  # the split is the user's
    digest: str

    def counts(self, part: Sequence[Seen]) -> list[int]:
        """Boxes, or pictures for classification, of each class."""
        count = Counter(label for picture in part for label in picture.item.classes)
        return [count[label] for label in range(len(self.labels))]


def prepared(wish: Wish, reader: Reader, work: Path, told: Told) -> Prepared:
    """Everything that training needs; pictures go into `work/cache`.

    Raises:
        Rejected: the folder or a setting cannot be used, has problems and `bad` is `refuse`, or changed since the Run
            whose `work` this is began.
    """
    cache = work / "cache"
    _check(wish)
    problems = Problems()
    annotated = reader(wish.data, problems)
    val = frozenset(annotated.val or ())
    _check_listed_twice(annotated, problems)
    every = list(dict.fromkeys((*annotated.train, *val)))
    if not every:
        raise Rejected("\n".join([f"{wish.data} holds no picture", *([problems.listed()] if problems.lines else [])]))
    seen = read_squares(sorted(every, key=lambda item: item.picture), wish.size, cache / "squares.npy", problems, told)
    check_leaks(seen, val, problems)
    problems.settle(wish.bad)
    left = [picture for picture in seen if picture.item.picture not in problems.pictures]
    split = given(left, val) if annotated.val is not None else drawn(left, wish.val, wish.seed)
    _check_sides(split, annotated)
    digest = dataset_digest(left, annotated.files, annotated.root)
    _check_same(work / "dataset.txt", digest, wish.data)
    return Prepared(
        labels=annotated.labels,
        squares=np.load(cache / "squares.npy", mmap_mode="r"),
        split=split,
        layout=annotated.layout,
        given=annotated.val is not None,
        digest=digest,
    )


def _check(wish: Wish) -> None:
    if wish.bad not in ("refuse", "skip"):
        raise Rejected(f"setting bad: {wish.bad!r} has to be 'refuse' or 'skip'")
    if wish.size % COARSEST or not 64 <= wish.size <= 1280:
        raise Rejected(f"setting size: {wish.size} has to be a multiple of {COARSEST} from 64 to 1280")


def _check_same(file: Path, digest: str, data: str) -> None:
    """A training that goes on does so with the pictures it began with."""
    if file.exists() and file.read_text() != digest:
        raise Rejected(f"what is in {data} changed since this Run began; begin another Run to learn from it")
    write_whole(file, digest.encode())


def _check_listed_twice(annotated: Annotated, problems: Problems) -> None:
    """The very same picture on both sides of the user's split."""
    training = {item.picture for item in annotated.train}
    for item in annotated.val or ():
        if item.picture in training:
            problems.add(item.picture, "is in the training set and in the validation set", picture=item.picture)


def _check_sides(split: Split, annotated: Annotated) -> None:
    for part, what in ((split.train, "to train on"), (split.val, "to measure on")):
        if not any(picture.item.classes for picture in part):
            raise Rejected(
                f"{annotated.root}: there is no picture with something annotated in it left {what}; "
                f"of {len(annotated.train) + len(annotated.val or ())} pictures at least two have to have annotations"
            )
