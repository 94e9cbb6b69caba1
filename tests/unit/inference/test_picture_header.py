"""What a picture claims about its size is read before anything is decoded."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inference import picture_header
from agent.inference.errors import BadInput

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def encoded(suffix: str, height: int, width: int, *options: int) -> bytes:
    ok, content = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8), options)
    assert ok
    return bytes(content.tobytes())


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (300, 17)])
@pytest.mark.parametrize(
    ("suffix", "options"), [(".png", ()), (".jpg", ()), (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))]
)
def test_width_and_height_are_read(suffix: str, options: tuple[int, ...], size: tuple[int, int]) -> None:
    height, width = size
    assert picture_header.check(memoryview(encoded(suffix, height, width, *options))) == (width, height)


def test_metadata_before_the_size_is_skipped() -> None:
    content = encoded(".jpg", 20, 30)
    exif = b"\xff\xe1\xff\xfe" + bytes(0xFFFC)
    filled = content[:2] + exif + b"\xff" + content[2:]
    assert picture_header.check(memoryview(filled)) == (30, 20)


@pytest.mark.parametrize(
    ("width", "height"), [(65535, 65535), (1 << 31, 1), (0, 5), (5, 0), (8193, 8193), (0xFFFFFFFF, 0xFFFFFFFF)]
)
def test_an_absurd_size_is_refused(width: int, height: int) -> None:
    content = PNG + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(50)
    with pytest.raises(BadInput):
        picture_header.check(memoryview(content))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"GIF89a", b"RIFF1234WEBP", b"II*\0", PNG, b"\xff\xd8\xff" * 100]
)
def test_what_is_neither_jpeg_nor_png_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        picture_header.check(memoryview(content))


@given(st.sampled_from([b"", b"\xff\xd8\xff", PNG]), st.binary(max_size=300))
def test_no_bytes_break_the_reader(start: bytes, rest: bytes) -> None:
    try:
        width, height = picture_header.check(memoryview(start + rest))
    except BadInput:
        return
    assert 0 < width * height <= picture_header.MAX_PIXELS
