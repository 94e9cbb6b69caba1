"""Short films: plain colours, and a moving test card for what measures."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
from av.filter import Graph


def write_clip(
    path: Path,
    pictures: int = 12,
    size: tuple[int, int] = (200, 120),
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> Path:
    """White pictures, ten a second; `size` is width and height."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "4", "bf": "0", "x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        container.start_encoding()  # a track is there even when no picture is
        for index in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 255, np.uint8), format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def write_card(path: Path, size: tuple[int, int], rate: int, pictures: int, b_frames: int, bits: int) -> Path:
    """A moving test card as a camera sends it, `bits` a second; a key picture every two seconds."""
    graph = Graph()
    card, end = graph.add("testsrc2", f"size={size[0]}x{size[1]}:rate={rate}"), graph.add("buffersink")
    plain = graph.add("format", "pix_fmts=yuv420p")
    card.link_to(plain)
    plain.link_to(end)
    graph.configure()
    options = {"preset": "fast", "bf": str(b_frames), "g": str(2 * rate), "threads": "2"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", bits
        for _ in range(pictures):
            container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))
    return path


def played(path: Path) -> list[tuple[int, int]]:
    """Width and height of every picture that a player shows."""
    with av.open(str(path)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


def malformed(clip: bytes, seed: int) -> bytes:
    """The clip, damaged as one who wants something of its reader would: bits, sizes, lengths, order."""
    chance = random.Random(seed)
    content = bytearray(clip)
    for _ in range(chance.choice((1, 4, 32, 256))):
        _damage(content, chance)
    return bytes(content)


def _damage(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(max(1, len(content) - 8))
    match chance.randrange(6):
        case 0:
            content[at] ^= 1 << chance.randrange(8)
        case 1:  # a length or a count that is far too large, or none
            content[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0"))
        case 2:
            del content[at : at + chance.randrange(1, 64)]
        case 3:
            content[at:at] = content[at : at + chance.randrange(1, 512)]
        case 4:
            content[at : at + 16] = chance.randbytes(16)
        case _:
            if chance.random() < 0.1:
                del content[max(64, at) :]
