"""A signed update that is killed after so many seconds, and what is wrong with the box afterwards."""

from __future__ import annotations

import time

from tests.crash.boxes import Boxes, Story

UPDATE = Story("a signed update", "old", "new", frozenset({"old", "new"}), "new", signed=True)


def duration(boxes: Boxes, story: Story) -> float:
    """Seconds that the story takes when nothing goes wrong."""
    folder = boxes.of(story)
    before = time.monotonic()
    seen = boxes.live(story.boot(folder))
    assert (seen.error, seen.violations, seen.answers) == ("", [], story.after)
    return time.monotonic() - before


def complaints(boxes: Boxes, story: Story, after: float) -> tuple[bool, list[str]]:
    """Was it killed before it had ended; and what is wrong."""
    folder = boxes.of(story)
    crashed = boxes.live(story.boot(folder, kill_after=after))
    offline = boxes.live(story.boot(folder, online=False))
    final = boxes.live(story.boot(folder))
    found = [sentence for seen in (crashed, offline, final) for sentence in (*seen.violations, seen.error) if sentence]
    if offline.answers not in story.meanwhile:
        found.append(f"after the kill {offline.answers} answers")
    if final.answers != story.after:
        found.append(f"in the end {final.answers} answers, in state {final.state}")
    return crashed.killed, found
