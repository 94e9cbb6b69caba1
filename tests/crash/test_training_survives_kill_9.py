"""Whenever the control plane is killed, and whatever with it: the Run goes on, and gives its release once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.adapters import run_keeper
from tests.crash.lives import Lives
from tests.crash.training_world import RUN, Boot, Seen
from tests.sim import recipes

POINTS = ("BEGIN", "start", "TRAINING", "ENDED", "publish", "PUBLISHED")
STEPS = 6

World = Lives[Boot, Seen]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World("tests.crash.training_world", Seen, tmp_path_factory.mktemp("training"))
    yield made
    made.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    recipes.write(tmp_path / "recipes")
    return tmp_path


def told(state: Path) -> list[int]:
    """Steps, in the order the recipe took them."""
    lines = (state / "runs" / RUN / "progress.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def process(state: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((state / "runs" / RUN / run_keeper.PROCESS).read_text())
    return found


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_between_any_two_steps_costs_nothing(world: World, state: Path, point: str, when: str) -> None:
    assert world.live(Boot(str(state), kill_at=f"{when} {point}")).killed
    seen = world.live(Boot(str(state)))
    assert (seen.phase, seen.releases, seen.attempt) == ("Succeeded", ("tiny-1-0-0",), 1), seen.message
    assert told(state) == list(range(1, STEPS + 1))  # one process did it all: it was found again, not started twice


def test_a_training_that_goes_on_is_found_again(world: World, state: Path) -> None:
    assert world.live(Boot(str(state), until="Running")).killed
    before = process(state)
    assert run_keeper.start_ticks(before["pid"]) is not None
    assert world.live(Boot(str(state))).phase == "Succeeded"
    assert process(state)["pid"] == before["pid"]


@pytest.mark.parametrize("victims", [("pid", "child"), ("pid",), ("child",)], ids=["both", "keeper", "recipe"])
def test_what_was_killed_goes_on_from_its_checkpoint(world: World, state: Path, victims: tuple[str, ...]) -> None:
    assert world.live(Boot(str(state), until="Running")).killed
    for victim in victims:
        os.kill(process(state)[victim], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while run_keeper.start_ticks(process(state)["child"]) and not _zombie(process(state)["child"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    reached = told(state)[-1]
    seen = world.live(Boot(str(state)))
    assert (seen.phase, seen.releases, seen.attempt) == ("Succeeded", ("tiny-1-0-0",), 2), seen.message
    again = told(state)
    assert again[-1] == STEPS
    assert again.count(1) == 1, "it began at its checkpoint"
    assert len(again) <= STEPS + 1, f"at most the step that was under way at {reached} is taken again"


def _zombie(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_a_state_of_before_the_machine_restarted_is_no_living_process(world: World, state: Path) -> None:
    assert world.live(Boot(str(state), until="Running")).killed
    path = state / "runs" / RUN / run_keeper.PROCESS
    found = process(state)
    os.kill(found["pid"], signal.SIGKILL)
    time.sleep(0.2)
    path.write_text(json.dumps({**found, "boot": "another", "pid": os.getpid(), "child": os.getpid()}))
    assert world.live(Boot(str(state))).phase == "Succeeded"  # and this process is still here to say so
