"""Short films of plain colours."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_clip(path: Path, pictures: int = 12, size: tuple[int, int] = (200, 120), codec: str = "libx264") -> Path:
    """White pictures, ten a second; `size` is width and height."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "4", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        container.start_encoding()  # a track is there even when no picture is
        for index in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 255, np.uint8), format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def played(path: Path) -> list[tuple[int, int]]:
    """Width and height of every picture that a player shows."""
    with av.open(str(path)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]
