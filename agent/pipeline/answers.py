"""What each tap was answered last, for frames in which nothing moved. Pure.

A frame that was passed over ends as `stale_track`, with the boxes of the last answer and their age. Rules:

- boxes of a release, or of settings, that answer no more are not shown again (`forget`);
- a look that brought no answer is no look: the camera is looked at until there is one;
- an answer with news keeps the camera looked at. News is a box where none of its label stood lately: something that
  came, or that has moved by about a third of its size since it was noted. A box that comes and goes in one place, as
  those near the least score do, is no news.

None of it is kept of a tap whose frames are never passed over, but for its last answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.cameras.captured import PassedOver
from agent.pipeline.agreement import iou
from agent.types import Box, Finished, Tap
from protos.ids import CameraName
from protos.outcomes import Outcome

SAME_PLACE = 0.5  # intersection over union from which on a box stands where one stood
FORGOTTEN_SECONDS = 60.0  # after it was seen last, what comes back is news
MOST_PLACES = 100  # of a tap


@dataclass
class _Places:
    """Where things stood lately, and when something was seen there last."""

    of: dict[Box, float] = field(default_factory=dict)

    def news(self, boxes: tuple[Box, ...], now: float) -> bool:
        """Note the boxes; whether one stands where none stood."""
        self.of = {place: seen for place, seen in self.of.items() if now - seen <= FORGOTTEN_SECONDS}
        before = len(self.of)
        for box in boxes:
            place = next((each for each in self.of if _same_place(each, box)), None)
            if place is not None or len(self.of) < MOST_PLACES:
                self.of[place or box] = now
        return len(self.of) > before


@dataclass
class LastAnswers:
    """Of one lane."""

    _last: dict[Tap, Finished] = field(default_factory=dict)
    _places: dict[Tap, _Places] = field(default_factory=dict)  # of taps whose frames are passed over

    def heard(self, frame: Finished) -> bool:
        """A frame that was looked at has ended. Whether its camera must be looked at on."""
        if frame.release is None:
            return frame.tap in self._places
        last = self._last.get(frame.tap)
        if last is None or last.seq < frame.seq:
            self._last[frame.tap] = frame
        places = self._places.get(frame.tap)
        return places is not None and places.news(frame.boxes, frame.captured)

    def still(self, frame: PassedOver, now: float) -> Finished | None:
        """How it ends; None where nothing is known that could be said again, so that its camera must be looked at."""
        last = self._last.get(frame.tap)
        if frame.tap not in self._places:
            places = self._places[frame.tap] = _Places()
            places.news(last.boxes if last else (), frame.captured)
        if last is None:
            return None
        return frame.ended(Outcome.STALE_TRACK, now, last.boxes, max(0.0, frame.captured - last.captured))

    def forget(self) -> set[CameraName]:
        """Another release answers, or what it is asked has changed; the cameras that must be looked at."""
        self._last.clear()
        return {tap.camera for tap in self._places}

    def drop(self, tap: Tap) -> None:
        """It feeds this lane no more."""
        self._last.pop(tap, None)
        self._places.pop(tap, None)


def _same_place(one: Box, other: Box) -> bool:
    return one.label == other.label and iou(one, other) >= SAME_PLACE
