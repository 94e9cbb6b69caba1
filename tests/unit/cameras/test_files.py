"""Files as cameras: with times of their own or without, and when the box is too busy to keep up."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from agent.cameras.source_av import FileSource
from agent.cameras.spec import File

RATE, PICTURES = 50, 8


def written(path: Path, codec: str, file_format: str) -> Path:
    with av.open(str(path), "w", format=file_format) as container:
        stream = container.add_stream(codec, rate=RATE, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(PICTURES):
            pixels = np.full((96, 160, 3), 30 * number, np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "file_format"), [("libx264", "h264"), ("libx265", "hevc"), ("libx264", "avi"), ("libx264", "mpegts")]
)
def test_a_file_with_or_without_times_is_played_at_its_rate_and_across_its_loop(
    codec: str, file_format: str, tmp_path: Path
) -> None:
    source = FileSource(File(str(written(tmp_path / f"clip.{file_format}", codec, file_format))))
    source.open()
    shots = [source.read() for _ in range(3 * PICTURES)]
    source.close()
    assert np.diff([shot.stream_time for shot in shots]) == pytest.approx(1 / RATE, abs=0.001)
    tones = [int(shot.picture.rgb(160).mean()) for shot in shots]
    assert tones[:PICTURES] == pytest.approx(tones[PICTURES : 2 * PICTURES], abs=2), "each turn shows the same"
    assert tones[:PICTURES] == sorted(tones[:PICTURES]), "in order of display"


def test_seconds_that_a_busy_box_left_out_are_told(tmp_path: Path) -> None:
    source = FileSource(File(str(written(tmp_path / "clip.ts", "libx264", "mpegts"))))
    source.open()
    assert source.read().skipped == 0.0
    source._started -= 3.0  # as if three seconds had gone meanwhile
    assert source.read().skipped == pytest.approx(3.0, abs=0.2)
    assert source.read().skipped == 0.0
    source.close()
