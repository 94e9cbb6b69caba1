"""Squares and rows of boxes, batch by batch, for training and for measuring."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.dataset.augment import Change, Rows, drawn_gain, drawn_view, moved, seen
from models.dataset.pictures import Seen
from models.dataset.prepare import Prepared

Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]  # squares; rows of box in 0..1 and class, or −1


def rows_of(picture: Seen) -> Rows:
    """Boxes of the square and their classes, [objects, 5]."""
    pairs = zip(picture.item.boxes, picture.item.classes, strict=True)
    rows = [(*picture.placed.box(box), label) for box, label in pairs]
    return np.array(rows, np.float32).reshape(-1, 5)


def padded(rows: Sequence[Rows]) -> NDArray[np.float32]:
    """All pictures' rows in one array, the missing ones −1."""
    whole = np.full((len(rows), max(1, *(len(each) for each in rows)), 5), -1, np.float32)
    for picture, each in enumerate(rows):
        whole[picture, : len(each)] = each
    return whole


def training_batch(rng: np.random.Generator, data: Prepared, count: int, change: Change) -> Batch:
    """Random pictures of the training side, changed."""
    images, rows = [], []
    for at in rng.integers(len(data.split.train), size=count):
        picture = data.split.train[at]
        view = drawn_view(rng, change)
        images.append(seen(data.squares[picture.row], view, drawn_gain(rng, change)))
        rows.append(moved(rows_of(picture), view, data.squares.shape[1]))
    return np.stack(images), padded(rows)


def measuring_batches(data: Prepared, pictures: Sequence[Seen], count: int) -> Iterator[Batch]:
    """The given pictures as they are."""
    for start in range(0, len(pictures), count):
        part = pictures[start : start + count]
        yield np.stack([data.squares[each.row] for each in part]), padded([rows_of(each) for each in part])
