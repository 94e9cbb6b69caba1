"""What the lane did with each frame of three short worlds is on file: whoever changes a decision sees which.

Where the change is meant, write them anew with `LONGSHORE_GOLDEN=write pytest tests/unit/bench/test_decision_golden.py`
and read the difference.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from agent.simulation.drive import play
from agent.simulation.ourselves import maker
from agent.simulation.world import draw, known
from bench.decision.scenarios import SCENARIOS

FOLDER = Path(__file__).parent / "golden"
SEED, SECONDS = 2, 8.0


def traced(scenario: str) -> list[str]:
    """A line a frame: number, camera, how it ended, by whom, after how many milliseconds."""
    world = draw(replace(SCENARIOS[scenario], seconds=SECONDS), SEED)
    fates = play(world, maker()(known(world.scenario), SEED)).fates
    return [
        f"{number} {camera} {fate.outcome} {fate.by or '-'} {1e3 * (fate.at - captured):.0f}"
        for number, (camera, captured, fate) in enumerate(zip(world.camera, world.captured, fates, strict=True))
    ]


@pytest.mark.parametrize("scenario", ["calibration", "mixed", "two-slots"])
def test_the_lane_decides_as_it_did(scenario: str) -> None:
    path, now = FOLDER / f"decision-{scenario}.txt", traced(scenario)
    if os.environ.get("LONGSHORE_GOLDEN") == "write":
        path.write_text("\n".join(now) + "\n")
    before = path.read_text().splitlines()
    differ = [(old, new) for old, new in zip_longest(before, now) if old != new]
    assert not differ, f"{len(differ)} of {len(now)} frames ended otherwise, the first {differ[0]}"
