"""kill -9 between every two port calls of the agent's own update, and then the power comes back.

The oracle, for each crash point: what is kept is whole at any moment; the first start after the kill is of the old
agent or the new one; and without another kill the box ends where it would have without the first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.crash.agent_world import AWAY, Ended, Life, Lives
from tests.crash.boxes import SHARED_MEMORY


@dataclass(frozen=True)
class Story:
    """`ends`: what runs in the end, and the state of the update."""

    name: str
    before: str
    ends: tuple[str, str]
    falls: bool = False
    sick: bool = False

    def life(self, folder: Path, **more: object) -> Life:
        return msgspec.structs.replace(Life(str(folder), "new", falls=self.falls, sick=self.sick), **more)


STORIES = [
    Story("the first update of a box", "", ("new", "IDLE")),
    Story("an update of an updated box", "old", ("new", "IDLE")),
    Story("an agent that falls at each start", "old", ("old", "FAILED"), falls=True),
    Story("an agent under which nothing answers", "old", ("old", "FAILED"), sick=True),
]


class Boxes:
    def __init__(self, folder: Path) -> None:
        self.lives = Lives()
        self._folder = folder

    def fresh(self, story: Story) -> Path:
        template, folder = self._folder / f"template-{story.before}", self._folder / "box"
        if not template.exists():
            template.mkdir()
            if story.before:
                assert self.lives.live(Life(str(template), story.before)).runs == story.before
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        return folder

    def complaints(self, story: Story, kills: tuple[int, ...], without: str = "") -> list[str]:
        """What is wrong after kills at these calls, one in each life; empty when the box behaves."""
        folder = self.fresh(story)
        found = [self.lives.live(story.life(folder, kill_at=kill, without=without)) for kill in (*kills, None)]
        wrong = [each.error for each in found if each.error]
        last = found[-1]
        return wrong or ([] if (last.runs, last.state) == story.ends else [f"it ends as {last}"])


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path_factory.mktemp("crash")
    with tempfile.TemporaryDirectory(prefix="longshore-agent-", dir=parent) as folder:
        made = Boxes(Path(folder))
        yield made
        made.lives.close()


def undisturbed(boxes: Boxes, story: Story) -> Ended:
    ended = boxes.lives.live(story.life(boxes.fresh(story)))
    assert ((ended.runs, ended.state), ended.error) == (story.ends, "")
    return ended


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_kill_between_any_two_calls_is_survived(boxes: Boxes, story: Story) -> None:
    calls = undisturbed(boxes, story).calls
    print(f"{story.name}: {calls} calls")
    wrong = {at: found for at in range(1, calls + 1) if (found := boxes.complaints(story, (at,)))}
    assert wrong == {}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_second_and_a_third_kill_are_survived(boxes: Boxes, story: Story) -> None:
    calls = undisturbed(boxes, story).calls
    kills = [(at, again, at // 2 + 1) for at in range(2, calls + 1, 9) for again in (1, 4, 11)]
    assert {each: found for each in kills if (found := boxes.complaints(story, each))} == {}


@pytest.mark.parametrize("protection", AWAY)
def test_the_oracle_notices_when_a_protection_is_taken_away(boxes: Boxes, protection: str) -> None:
    """A test that cannot fail proves nothing."""
    story = {"counted starts": STORIES[2], "going back": STORIES[2]}.get(protection, STORIES[1])
    calls = undisturbed(boxes, story).calls
    assert any(boxes.complaints(story, (at,), without=protection) for at in range(calls, 0, -1))
