"""The camera bench: every way sees the same film, and what misses its limit is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from agent.cameras.messages import SetTap
from agent.cameras.tap import TapWriter
from agent.workers.memory import SharedSlots
from bench import bench_cameras
from tests.sim.clips import write_card


def result(of_bare: float = 1.1, of_decode_only: float = 0.8) -> dict[str, Any]:
    stream = {"streams_per_core": 80.0, "decode_only_per_core": 100.0, "of_decode_only": of_decode_only, "aim": 100}
    return {
        "picture": {"capture": {"milliseconds": 2.2, "of_bare": of_bare}},
        "streams": {"640x360@10": stream},
    }


def test_every_way_sees_every_picture(tmp_path: Path) -> None:
    clip = write_card(tmp_path / "card.mp4", (320, 180), 10, 12, 2, 200_000)
    memory = SharedSlots.create(2, bench_cameras.INPUT.nbytes)
    writer = TapWriter(SetTap(1, "quay", 2, bench_cameras.INPUT, 1, []), os.dup(memory.fd))
    seen = (bench_cameras.bare(clip), bench_cameras.captured(clip, writer), bench_cameras.usual(clip))
    writer.close()
    memory.close()
    assert seen == (12, 12, 12)


def test_what_misses_its_limit_is_named() -> None:
    assert bench_cameras.missed(result()) == []
    picture, stream = bench_cameras.missed(result(1.3, 0.7))
    assert picture.startswith("a picture takes 1.30 of bare decoding")
    assert stream.startswith("640x360@10: 0.70 of decode-only")


def test_the_table_has_a_line_for_each_figure() -> None:
    text = bench_cameras.table(result())
    assert "2.20 ms" in text
    assert "80.0" in text
