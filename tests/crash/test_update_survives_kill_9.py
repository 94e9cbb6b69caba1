"""kill -9 between every two port calls of an update, in every state, and then a boot without a network.

The oracle, for each of some hundred crash points: after the crash the box, without any network, answers with the old
release or the new one, whole; never with none, never with mixed bytes; and with a network again it ends up where it
would have without the crash, having fetched no file more than once too often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.update.machine import RESTING, State
from tests.crash import protections
from tests.crash.boxes import Boxes, Story
from tests.crash.lives import quick_folder
from tests.crash.world import BY_NAME, downloads

STORIES = [
    Story("the first release", None, "new", frozenset({None, "new"}), "new"),
    Story("an update", "old", "new", frozenset({"old", "new"}), "new"),
    Story("an unhealthy release", "old", "new", frozenset({"old"}), "old", unhealthy=True),
    Story("a release that changed on the way", "old", "new", frozenset({"old"}), "old", damaged=True),
    Story("a superseded release", "old", "new", frozenset({"old", "newer"}), "newer", supersede=True),
    Story("a withdrawn deployment", "old", None, frozenset({None}), None),
]


@pytest.fixture(scope="module")
def boxes() -> Iterator[Boxes]:
    with quick_folder() as folder:
        boxes = Boxes(folder)
        yield boxes
        boxes.close()


def crash_points(boxes: Boxes, story: Story) -> list[str]:
    """The port calls of the story when nothing goes wrong."""
    seen = boxes.live(story.boot(boxes.of(story)))
    assert (seen.error, seen.violations, seen.answers) == ("", [], story.after)
    return seen.labels


def complaints(boxes: Boxes, story: Story, kill_at: int, without: str = "") -> list[str]:
    """What is wrong after a kill at that call; empty when the box behaves."""
    folder = boxes.of(story)
    crashed = boxes.live(story.boot(folder, kill_at=kill_at, without=without))
    offline = boxes.live(story.boot(folder, online=False, without=without))
    final = boxes.live(story.boot(folder, without=without))
    found = [
        f"{where}: {sentence}"
        for where, seen in (("offline", offline), ("final", final))
        for sentence in seen.violations
    ]
    found += [seen.error for seen in (crashed, offline, final) if seen.error]
    if offline.answers not in story.meanwhile:
        found.append(f"after the crash {offline.answers} answers")
    if final.answers != story.after:
        found.append(f"in the end {final.answers} answers, in state {final.state}")
    return [*found, *_downloaded_too_often(folder, story)]


def _downloaded_too_often(folder: Path, story: Story) -> list[str]:
    sent = downloads(folder)
    sizes = {digest: len(body) for release in BY_NAME.values() for digest, body in release.blobs.items()}
    allowed = 3 if story.damaged else 2  # wrong bytes are fetched twice even without a crash
    return [
        f"{digest[:19]} was fetched {size / sizes[digest]:.1f} times"  # type: ignore[index]  # a Digest is text
        for digest, size in sent.items()
        if size > allowed * sizes[digest]  # type: ignore[index]  # as above
    ]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_kill_between_any_two_calls_is_survived(boxes: Boxes, story: Story) -> None:
    labels = crash_points(boxes, story)
    wrong = {
        f"{number} {label}": found
        for number, label in enumerate(labels, 1)
        if (found := complaints(boxes, story, number))
    }
    assert wrong == {}


def test_every_busy_state_is_among_the_crash_points(boxes: Boxes) -> None:
    entered = {label.split()[1] for story in STORIES for label in crash_points(boxes, story) if " " in label}
    assert entered >= {state.value for state in State if state not in RESTING}


@pytest.mark.parametrize("story", STORIES[:3], ids=lambda story: story.name)
def test_a_second_kill_while_coming_back_is_survived(boxes: Boxes, story: Story) -> None:
    first = crash_points(boxes, story)
    wrong = {}
    for number in range(1, len(first) + 1, 8):
        for again in (2, 6, 11):
            folder = boxes.of(story)
            boxes.live(story.boot(folder, kill_at=number))
            boxes.live(story.boot(folder, kill_at=again))
            offline = boxes.live(story.boot(folder, online=False))
            final = boxes.live(story.boot(folder))
            if offline.answers not in story.meanwhile or final.answers != story.after or final.violations:
                wrong[(number, again)] = (offline, final)
    assert wrong == {}


def test_without_a_crash_no_file_is_fetched_twice(boxes: Boxes) -> None:
    story = STORIES[1]
    folder = boxes.of(story)
    boxes.live(story.boot(folder))
    sizes = {digest: len(body) for release in BY_NAME.values() for digest, body in release.blobs.items()}
    assert {digest: size for digest, size in downloads(folder).items() if size != sizes[digest]} == {}  # type: ignore[index]  # a Digest is text


@pytest.mark.parametrize("protection", protections.NAMES)
def test_the_oracle_notices_when_a_protection_is_taken_away(boxes: Boxes, protection: str) -> None:
    """A test that cannot fail proves nothing."""
    story = {
        "verification": STORIES[3],
        "keeping what answers": STORIES[1],
        "confirming": STORIES[2],
        "warming beside the old one": STORIES[1],
    }[protection]
    noticed = []
    for number in reversed(range(1, len(crash_points(boxes, story)) + 1)):
        noticed += complaints(boxes, story, number, without=protection)
        if noticed:
            break
    assert noticed
    assert complaints(boxes, replace(story, name="with it again"), number) == []
