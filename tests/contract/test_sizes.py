"""A box with real updater, board and engines runs a release of two sizes, each frame in the one its lane chose.

On black pictures the full model finds boxes, and the small one none.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.inference.engine import OnnxEngine
from agent.offload.cost import CostLine
from agent.update.machine import State
from protos import manifest
from protos.manifest import ImageInput
from protos.outcomes import Outcome
from tests.contract.test_releases_on_trial import QUAY, TrialBox, released
from tests.sim.models import convolutions, detector
from tests.sim.releases import MadeRelease, with_lighter

FULL, SMALL = convolutions(side=64, channels=64), detector(64, 64)


def sized(version: str, **lighter: bytes) -> MadeRelease:
    made = released(version, FULL)
    described = replace(manifest.parse(made.manifest), input=ImageInput("image", 64, 64))
    return with_lighter(replace(made, manifest=manifest.to_bytes(described)), **lighter)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[TrialBox]:
    box = TrialBox(tmp_path)
    yield box
    await box.close()


async def found_in(box: TrialBox, release: MadeRelease, frames: int) -> set[bool]:
    """Did the next frames show boxes?"""
    box.finished.clear()
    await box.until(lambda: len(box.finished) >= frames, grey=0)
    done = [each for each in box.finished if each.outcome is Outcome.OK_LOCAL]
    assert {each.release for each in done} == {release.digest}
    return {bool(each.boxes) for each in done}


async def test_frames_are_answered_by_the_full_model_at_rest_and_by_the_small_one_when_there_is_no_time(
    box: TrialBox,
) -> None:
    release = sized("2.0.0", small=SMALL.spec.model)
    await box.installed(release)
    lane = box.board.lanes()[QUAY]
    assert list(lane.here.sizes) == ["small", "full"], "as they were measured here"
    assert await found_in(box, release, 10) == {True}
    assert lane.accounts[-1].size == "full"
    lane.load({"small": CostLine([(1, 0.001)]), "full": CostLine([(1, 60.0)])}, 1)  # as if it was far too slow
    assert await found_in(box, release, 10) == {False}
    assert (lane.accounts[-1].size, lane.accounts[-1].why_size) == ("small", "it would be late itself")


async def test_while_the_full_models_worker_is_started_again_the_small_one_answers(box: TrialBox) -> None:
    release = sized("2.0.0", small=SMALL.spec.model)
    await box.installed(release)
    engine = box.board.answering[QUAY].engine
    assert isinstance(engine, OnnxEngine)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    await box.until(lambda: any(done.outcome is Outcome.OK_LOCAL and not done.boxes for done in box.finished), grey=0)
    await box.until(lambda: engine.ready)
    assert await found_in(box, release, 10) == {True}


async def test_a_size_that_is_no_model_is_left_out_and_the_release_runs_and_comes_back_without_it(
    box: TrialBox,
) -> None:
    release = sized("2.0.0", small=b"this is no graph")
    await box.installed(release)
    assert list(box.board.lanes()[QUAY].here.sizes) == ["full"]
    (problem,) = box.updater.problems()
    assert "its small size is left out here: the model is damaged" in problem.message
    await box.close()
    box.start()
    await box.until(lambda: (box.report.state, box.report.active) == (State.IDLE, release.digest))
    assert await found_in(box, release, 5) == {True}
