"""Reading pictures: each once, letterboxed as the agent does it, into one file that training looks at again and again.

Rules that hold here: what cannot be read is a problem and stops nobody; the content of every picture is hashed, so that
the same picture on both sides of a split is seen whatever it is called.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.dataset.items import Box, Item, Problems
from models.network.plan import PAD

AHEAD = 64  # pictures in memory beside the file

Image = NDArray[np.uint8]
Told = Callable[[int, int], None]  # pictures read, of how many


@dataclass(frozen=True)
class Placed:
    """Where a picture lies in the square, in 0..1 of it."""

    left: float
    top: float
    width: float
    height: float

    def box(self, box: Box) -> Box:
        """A box of the picture as a box of the square."""
        x0, y0, x1, y1 = box
        left, top = self.left + x0 * self.width, self.top + y0 * self.height
        return left, top, self.left + x1 * self.width, self.top + y1 * self.height


@dataclass(frozen=True)
class Seen:
    """One picture that could be read; `row` is its place in the file of squares."""

    item: Item
    row: int
    digest: str  # SHA-256 of the file's bytes
    placed: Placed


def letterbox(picture: Image, size: int) -> tuple[Image, Placed]:
    """The picture centred on a square of grey, by the rules of `agent.cameras.letterbox`, as a test checks."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    wide, high = (min(size, max(1, round(side * scale))) for side in (width, height))
    left, top = (size - wide) // 2, (size - high) // 2
    field = np.full((size, size, 3), PAD, np.uint8)
    shrinks = height >= 2 * high and width >= 2 * wide
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    field[top : top + high, left : left + wide] = cv2.resize(picture, (wide, high), interpolation=how)
    return field, Placed(left / size, top / size, wide / size, high / size)


def read_squares(items: Sequence[Item], size: int, file: Path, problems: Problems, told: Told) -> list[Seen]:
    """Write the squares of all pictures into `file` (uint8 [N, size, size, 3]); what was seen, in order.

    `told` may raise to end it.
    """
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what is wrong is told by us, once and with the file's name
    file.parent.mkdir(parents=True, exist_ok=True)
    squares = np.lib.format.open_memmap(file, "w+", np.uint8, (len(items), size, size, 3))
    seen: list[Seen] = []
    for row, (item, read) in enumerate(zip(items, _ahead(items, size), strict=True)):
        told(row, len(items))
        if isinstance(read, str):
            problems.add(item.picture, read, picture=item.picture)
            continue
        squares[row], digest, placed = read
        seen.append(Seen(item, row, digest, placed))
    told(len(items), len(items))
    squares.flush()
    return seen


def _ahead(items: Sequence[Item], size: int) -> Iterator[tuple[Image, str, Placed] | str]:
    """What `_read` gives for each, a few read ahead on other threads."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), AHEAD):
            yield from pool.map(lambda item: _read(item, size), items[start : start + AHEAD])


def _read(item: Item, size: int) -> tuple[Image, str, Placed] | str:
    """Square, digest and place of a picture, or what is wrong with it."""
    try:
        content = item.picture.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:
        picture = None
    if picture is None:
        return "is no picture that can be decoded"
    height, width = picture.shape[:2]
    if item.stated is not None and item.stated != (width, height):
        return f"is {width} × {height} pixels, but its annotations say {item.stated[0]} × {item.stated[1]}"
    square, placed = letterbox(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), size)
    return square, hashlib.sha256(content).hexdigest(), placed


def dataset_digest(seen: Sequence[Seen], files: Sequence[Path], root: Path) -> str:
    """The name of a dataset by content: pictures and annotation files by their places below `root` and their bytes."""
    named = {item.item.picture: item.digest for item in seen}
    named |= {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    lines = sorted(f"{digest} {_below(file, root)}\n" for file, digest in named.items())
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
