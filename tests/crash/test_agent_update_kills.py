"""kill -9 between every two port calls of the agent's own update, and then the power comes back.

The oracle, for each crash point: what is kept is whole at any moment; the first start after the kill is of the old
agent or the new one; and without another kill the box ends where it would have without the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.crash.agent_world import AWAY, Ended, Life
from tests.crash.lives import Lives, quick_folder


@dataclass(frozen=True)
class Story:
    """`ends`: what runs in the end, and the state of the update."""

    name: str
    before: str
    ends: tuple[str, str]
    falls: bool = False
    sick: bool = False
    by_hand: bool = False

    def life(self, folder: Path, **more: object) -> Life:
        known = Life(str(folder), "new", falls=self.falls, sick=self.sick, by_hand=self.by_hand)
        return msgspec.structs.replace(known, **more)


STORIES = [
    Story("the first update of a box", "", ("new", "IDLE")),
    Story("an update of an updated box", "old", ("new", "IDLE")),
    Story("an agent that falls at each start", "old", ("old", "FAILED"), falls=True),
    Story("an update that was carried by hand", "old", ("new", "IDLE"), by_hand=True),
    Story("an agent under which nothing answers", "old", ("old", "FAILED"), sick=True),
]


class Boxes(Lives[Life, Ended]):
    def __init__(self, folder: Path) -> None:
        super().__init__("tests.crash.agent_world", Ended, folder)

    def of(self, story: Story) -> Path:
        """A state directory in which the agent `story.before` runs."""
        return self.fresh(story.before, lambda folder: self._before(story.before, folder))

    def _before(self, before: str, folder: Path) -> None:
        if before:
            assert self.live(Life(str(folder), before)).runs == before

    def complaints(self, story: Story, kills: tuple[int, ...], without: str = "") -> list[str]:
        """What is wrong after kills at these calls, one in each life; empty when the box behaves."""
        folder = self.of(story)
        found = [self.live(story.life(folder, kill_at=kill, without=without)) for kill in (*kills, None)]
        wrong = [each.error for each in found if each.error]
        last = found[-1]
        return wrong or ([] if (last.runs, last.state) == story.ends else [f"it ends as {last}"])


@pytest.fixture(scope="module")
def boxes() -> Iterator[Boxes]:
    with quick_folder() as folder:
        made = Boxes(folder)
        yield made
        made.close()


def undisturbed(boxes: Boxes, story: Story) -> Ended:
    ended = boxes.live(story.life(boxes.of(story)))
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
