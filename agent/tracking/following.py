"""Every answered frame, with the numbers of its things and what these did; the state of all taps. Pure.

Rules that hold here: state is kept for what desired state wants, one camera as one deployment sees it, and goes with
it; a release that takes over finds the things that are there. A frame in which nothing moved keeps things where they
are; what happens by that, such as a long stay, is told with the next frame that a release answers. Of each tap at most
HAPPENINGS_PER_SECOND are told in the long run, and MOST_HAPPENINGS at once; what is beyond is counted and lost. Zones
and lines may change at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from agent.pipeline import zones
from agent.tracking.rules import Marks, Rules
from agent.tracking.tracker import Seen, Tracker
from agent.types import Box, Finished, Happening, Tap
from protos.ids import CameraName
from protos.outcomes import Outcome

HAPPENINGS_PER_SECOND = 10.0
MOST_HAPPENINGS = 20
_NOTHING = Marks()


@dataclass
class _Followed:
    """One tap."""

    tracker: Tracker = field(default_factory=Tracker)
    rules: Rules = field(default_factory=Rules)
    left: float = MOST_HAPPENINGS  # that may be told now
    looked: float = 0.0  # when that was so
    waiting: list[Happening] = field(default_factory=list)  # for a frame that a release answers

    def allowed(self, happened: list[Happening], now: float) -> tuple[Happening, ...]:
        self.left = min(MOST_HAPPENINGS, self.left + max(0.0, now - self.looked) * HAPPENINGS_PER_SECOND)
        self.looked = max(now, self.looked)
        told = tuple(happened[: int(self.left)])
        self.left -= len(told)
        return told

    def with_waiting(self, told: tuple[Happening, ...], *, still: bool) -> tuple[Happening, ...]:
        waiting = [*self.waiting, *told]
        self.waiting = waiting[:MOST_HAPPENINGS] if still else []
        return () if still else tuple(waiting)


class Following:
    """`plan` what is wanted, then `follow` each frame that ended."""

    def __init__(self) -> None:
        self.dropped = 0  # happenings, beyond what may be told
        self._marks: Mapping[CameraName, Marks] = {}
        self._taps: dict[Tap, _Followed] = {}

    def __len__(self) -> int:
        return len(self._taps)

    def plan(self, marks: Mapping[CameraName, Marks], taps: Collection[Tap]) -> None:
        """What is drawn on cameras, and every tap that is wanted."""
        self._marks = marks
        self._taps = {tap: self._taps.get(tap) or _Followed() for tap in taps}

    def follow(self, frame: Finished) -> Finished:
        """The frame, its boxes with their zones and numbers, and what happened."""
        followed = self._taps.get(frame.tap)
        still = frame.outcome is Outcome.STALE_TRACK
        if followed is None or not (frame.release or still):
            return frame
        marks = self._marks.get(frame.tap.camera, _NOTHING)
        boxes = zones.tagged(frame.boxes, marks.zones) if marks.zones else frame.boxes
        seen = followed.tracker.see(boxes, frame.captured, still=still)
        numbered = seen.numbered(boxes)
        happened = [] if seen.late else list(_happened(followed.rules, marks, numbered, seen, frame.captured))
        told = followed.allowed(happened, frame.captured)
        self.dropped += len(happened) - len(told)
        return replace(frame, boxes=numbered, happened=followed.with_waiting(told, still=still))


def _happened(rules: Rules, marks: Marks, boxes: tuple[Box, ...], seen: Seen, captured: float) -> Iterator[Happening]:
    for track in seen.ended:
        yield from rules.ended(marks, track)
    for box, known in zip(boxes, seen.tracks, strict=True):
        if known is not None:
            yield from rules.saw(marks, known, box, captured)
