"""`longshore-agent frames`: pictures as this agent fits them for a release, as a stream of bytes.

What calibrates and judges a variant must see what a box sees, and this is the code that fits pictures on a box. One
JSON line with height and width, then for each picture a JSON line with its name, where it lies in the input and how
far the source has come, and height × width × 3 bytes of RGB. Pictures that cannot be read are left out, and named at
the end.

With views, each picture comes once for each of them instead: encoded as a capture worker encodes it for a cloud node,
decoded and fitted as that node does, its line telling quality, side and bytes as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from agent.cameras import drawing
from agent.cameras.picture import RgbPicture
from agent.cameras.source import Picture
from agent.inference.pictures import decode
from agent.release_folder import opened
from agent.trial.feed import ClipFeed, decoded
from agent.types import Geometry, ModelInput, View
from protos.errors import Rejected

Named = tuple[str, Picture, float]


def write(
    release: Path, film: Path | None, files: list[str], count: int, out: BinaryIO, views: Sequence[View] = ()
) -> list[str]:
    """What could not be read, in sentences. `count`: at most so many of a film, spread over it; files come all.

    Raises:
        Rejected: the release takes no pictures, or the film gives none.
    """
    wanted = opened(release).spec.input
    if wanted is None:
        raise Rejected("a tensor release takes no pictures")
    trouble: list[str] = []
    out.write(_line({"height": wanted.height, "width": wanted.width}))
    pixels = np.empty((wanted.height, wanted.width, 3), np.uint8)
    for name, picture, share in _of_film(film, count) if film else _of_files(files, trouble):
        for seen, told in _seen(picture, views):
            geometry = seen.fit(wanted, pixels)
            out.write(_line({"name": name, "window": _window(geometry, wanted), "share": round(share, 4), **told}))
            out.write(pixels.tobytes())
    out.flush()
    return trouble


def _seen(picture: Picture, views: Sequence[View]) -> Iterator[tuple[Picture, dict[str, int]]]:
    """The picture itself; or what is left of it in each view, and what that is."""
    if not views:
        yield picture, {}
    for view in views:
        jpeg = drawing.encode(picture, view)
        told = {"quality": view.quality, "maxSide": view.max_side, "bytes": len(jpeg)}
        yield RgbPicture(decode(memoryview(jpeg))), told


def _of_files(files: list[str], trouble: list[str]) -> Iterator[Named]:
    for number, name in enumerate(files, 1):
        try:
            yield name, decoded(Path(name)), number / len(files)
        except (Rejected, OSError) as error:
            trouble.append(f"{name}: {error}")


def _of_film(path: Path, count: int) -> Iterator[Named]:
    feed = ClipFeed(path, None)
    step = max(1.0, feed.length / count)
    given, seen_count = 0, 0
    try:
        while given < count and (seen := feed.next()) is not None:
            if seen_count >= given * step:
                given += 1
                yield seen.name, seen.picture, seen.share
            seen_count += 1
    finally:
        feed.close()


def _window(geometry: Geometry, wanted: ModelInput) -> list[float]:
    """Left, top, width and height of the picture in 0..1 of the input."""
    across, down = geometry.picture_width * geometry.scale_x, geometry.picture_height * geometry.scale_y
    return [geometry.left / wanted.width, geometry.top / wanted.height, across / wanted.width, down / wanted.height]


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"
