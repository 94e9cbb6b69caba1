"""Colours through a real encoder and decoder: red stays red, whatever matrix, range and format a stream has."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from agent.cameras.source import Picture
from agent.cameras.source_av import FileSource
from agent.cameras.spec import File
from agent.types import ModelInput

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 240, 30), (12, 200, 190), (128, 128, 128), (255, 255, 255))
WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
NUMBERS = {"601": 6, "709": 1}  # ITU-T H.273


def yuv(rgb: tuple[int, ...], matrix: str, full: bool) -> tuple[int, int, int]:
    """By the definition of the matrix."""
    red, blue = WEIGHTS[matrix]
    r, g, b = (tone / 255 for tone in rgb)
    luma = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    span, chroma, floor = (255, 255, 0) if full else (219, 224, 16)
    return round(span * luma + floor), min(255, round(chroma * u + 128)), min(255, round(chroma * v + 128))


def write(path: Path, colour: tuple[int, int, int], matrix: str, full: bool) -> None:
    """A lossless H.264 clip of one colour, tagged with its matrix and range."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        coder = stream.codec_context
        coder.time_base, coder.colorspace, coder.color_range = Fraction(1, 10), NUMBERS[matrix], 2 if full else 1
        for index in range(3):
            frame = av.VideoFrame(128, 72, "yuv420p")
            for plane, value in zip(frame.planes, colour, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.colorspace, frame.color_range = index, NUMBERS[matrix], 2 if full else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def first_picture(path: Path) -> Picture:
    source = FileSource(File(str(path)))
    source.open()
    try:
        return source.read().picture
    finally:
        source.close()


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["601", "709"])
def test_tagged_colours_come_through_within_three_of_255(matrix: str, full: bool, tmp_path: Path) -> None:
    for index, rgb in enumerate(COLOURS):
        path = tmp_path / f"{index}.mp4"
        write(path, yuv(rgb, matrix, full), matrix, full)
        picture = first_picture(path)
        out = np.empty((64, 64, 3), np.uint8)
        place = picture.fit(ModelInput(64, 64), out)
        inside = out[place.top + 2 : 64 - place.top - 2, 2:-2].astype(int)
        assert np.abs(inside - rgb).max() <= 3
        assert np.abs(picture.rgb(128).astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [
        ("mjpeg", "yuvj420p", "avi"),
        ("mjpeg", "yuvj422p", "avi"),
        ("mjpeg", "yuvj444p", "avi"),
        ("libx264", "yuv422p", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264rgb", "rgb24", "mkv"),
        ("rawvideo", "yuyv422", "avi"),
        ("rawvideo", "nv12", "mkv"),
    ],
)
def test_pictures_of_any_pixel_format_look_the_same(codec: str, pixels: str, suffix: str, tmp_path: Path) -> None:
    ramp = np.zeros((72, 128, 3), np.uint8)
    ramp[:, :, 0], ramp[:, :, 1], ramp[:, :, 2] = np.linspace(40, 220, 128), 120, 90
    path = tmp_path / f"ramp.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 72, pixels
        if codec == "mjpeg":
            stream.codec_context.options = {"qmin": "1", "qmax": "2"}
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(ramp, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    difference = np.abs(first_picture(path).rgb(128).astype(int) - ramp)
    assert difference.mean() < 4
