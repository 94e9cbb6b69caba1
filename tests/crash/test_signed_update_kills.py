"""kill -9 at random moments of a signed update: whatever was killed, one whole approved release answers, and goes on.

In full, 200 kills: python -m bench.bench_trust.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.crash.boxes import Boxes
from tests.crash.kills import UPDATE, complaints, duration
from tests.crash.lives import quick_folder

KILLS = 15
SEED = 11


@pytest.fixture(scope="module")
def boxes() -> Iterator[Boxes]:
    with quick_folder() as folder:
        boxes = Boxes(folder)
        yield boxes
        boxes.close()


def test_a_kill_at_any_moment_leaves_one_whole_release_answering(boxes: Boxes) -> None:
    chance, longest, killed = random.Random(SEED), duration(boxes, UPDATE), 0
    for _ in range(KILLS):
        after = chance.uniform(0.0, longest)
        was_killed, wrong = complaints(boxes, UPDATE, after)
        killed += was_killed
        assert wrong == [], f"killed after {after:.4f} s"
    assert killed > KILLS / 3
