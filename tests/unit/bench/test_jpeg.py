"""What the bench of pictures for a cloud node calls missed."""

from __future__ import annotations

from dataclasses import replace

from agent.offload.profile import PRIOR
from agent.types import View
from bench.bench_jpeg import MOST_BYTES, MOST_MS, WIDTH, Point, best, drawn, filmed, measured, missed

GOOD = Point("drawn", 50, WIDTH, 25_000, 28_000, 1.0, 2.0, 1.0)
FINE = replace(GOOD, quality=85, mean_bytes=MOST_BYTES + 1)


def test_a_whole_picture_of_some_quality_within_the_bytes_is_enough() -> None:
    assert missed([GOOD, FINE]) == []
    assert best([GOOD, FINE], "drawn") is GOOD


def test_too_many_bytes_at_every_quality_are_missed_and_so_is_a_small_picture_alone() -> None:
    (sentence,) = missed([FINE, replace(GOOD, side=WIDTH // 2)])
    assert sentence == "drawn: no quality of a whole picture keeps within 30000 bytes"


def test_a_way_that_takes_too_long_is_missed_by_name() -> None:
    (sentence,) = missed([GOOD, replace(FINE, median_ms=MOST_MS + 0.1)])
    assert sentence.startswith("drawn: quality 85 at 640 px takes 1.6 ms")


def test_pictures_come_as_planes_and_are_encoded_by_the_capture_worker() -> None:
    pictures = filmed(2)
    assert [(each.width, each.height) for each in pictures] == [(640, 480)] * 2
    small, large = (measured("filmed", pictures, View(side, 70), 1) for side in (320, 640))
    assert 0 < small.mean_bytes < large.mean_bytes < 150_000


def test_what_a_release_that_tells_nothing_is_thought_to_send_is_what_a_picture_takes() -> None:
    (guess,) = PRIOR.jpeg
    for kind, pictures in (("drawn", drawn(8)), ("filmed", filmed(2))):
        real = measured(kind, pictures, View(guess.max_side, guess.quality), 1).mean_bytes
        assert 0.85 * guess.bytes <= real <= 1.05 * guess.bytes
