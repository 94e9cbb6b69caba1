"""Which box of a frame is which thing of the frames before it. Pure and deterministic; plain Python, no arrays.

A thing is expected where its motion takes it (`motion`), or, with less confidence, still where it was: people stop and
turn. Boxes of its label that overlap with that are its candidates; both are widened first by as much as the expectation
may be off, so that things which jump between the frames of a slow camera, or come back from behind something, are found
again. The best pairs take each other, greedily, who was seen just now a little before who was not: first sure boxes and
known things, then what is left of the known with faint boxes, then things seen too little to be known.

- A thing is known, and gets its number, at its second sighting; if none was sure, at its third.
- Unseen, it is kept for KEEP_SECONDS of capture time; one not known yet for FLEETING_SECONDS.
- A frame captured before one that was told already (its answer took longer) moves nothing: its boxes get the numbers
  of the things that were there.
- At most MOST_TRACKS things are kept, and the surest MOST_BOXES boxes of a frame looked at.

Source: two rounds by score after Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box",
2022, arXiv:2110.06864; widened overlaps after Yang et al., "Hard to Track Objects with Irregular Motions and Similar
Appearances? Make It Easier by Buffering the Matching Space", 2023, arXiv:2211.14317.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import structs

from agent.tracking.motion import Area, Motion
from agent.types import Box

KEEP_SECONDS = 3.0  # unseen
FLEETING_SECONDS = 0.5  # unseen, of what is not known yet
MOST_TRACKS = 200
MOST_BOXES = 100  # of a frame
SURE = 0.5  # a score
# Chosen on bench/bench_tracking.py's scenes:
_LEAST = 0.25  # overlap of what may be the same
_WIDENED = 2.0  # by so many standard deviations
_WIDEST = 0.7  # sizes
_STANDING = 0.6  # that it is where it was, against that it moved on
_UNSEEN = 0.1  # off the overlap for a second unseen, and for more


@dataclass(slots=True)
class Track:
    """A thing. `number` counts from 1; 0 while it is not known."""

    label: str
    motion: Motion
    born: Box  # where it was seen first
    surest: float
    number: int = 0
    sightings: int = 1

    @property
    def sufficient(self) -> bool:
        """It was seen often enough to be known."""
        return self.sightings >= (2 if self.surest >= SURE else 3)


@dataclass(frozen=True)
class Seen:
    """One frame: the known thing that each box is, in the order of boxes, and the known things given up."""

    tracks: tuple[Track | None, ...]
    ended: tuple[Track, ...] = ()
    late: bool = False  # a frame after it was told before

    def numbered(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """The boxes that were seen, those of known things with their numbers."""
        pairs = zip(boxes, self.tracks, strict=True)
        return tuple(box if track is None else structs.replace(box, track=track.number) for box, track in pairs)


_Candidate = tuple[float, float, float, float, int, int]  # its corners, place and rank of a box: 0 where it is sure
_Pair = tuple[int, float, int, int]  # round, minus overlap, track, box


class Tracker:
    """Of one camera's frames as one deployment answers them."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._numbered = 0
        self._newest = -math.inf

    def __len__(self) -> int:
        return len(self._tracks)

    def see(self, boxes: Sequence[Box], captured: float, *, still: bool = False) -> Seen:
        """A frame captured then, in monotonic seconds. `still`: nobody looked, as nothing has moved since these boxes
        were found: things are where they were, and nothing is known better by that.
        """
        if captured <= self._newest:
            return Seen(self._told(boxes, self._matched(boxes, captured)), late=True)
        self._newest = captured
        ended = self._give_up(captured)
        matched = self._matched(boxes, captured)
        for number, track in sorted(matched.items(), key=lambda each: each[0]):
            self._meet(track, boxes[number], captured, still=still)
        self._forget_fleeting(captured)
        if not still:
            self._begin(boxes, matched, captured)
        return Seen(self._told(boxes, matched), ended)

    def _told(self, boxes: Sequence[Box], matched: dict[int, Track]) -> tuple[Track | None, ...]:
        found = (matched.get(number) for number in range(len(boxes)))
        return tuple(track if track is not None and track.number else None for track in found)

    def _give_up(self, now: float) -> tuple[Track, ...]:
        """Those unseen for too long; the known among them."""
        gone = [track for track in self._tracks if now - track.motion.seen > KEEP_SECONDS]
        if gone:
            self._tracks = [track for track in self._tracks if now - track.motion.seen <= KEEP_SECONDS]
        return tuple(track for track in gone if track.number)

    def _forget_fleeting(self, now: float) -> None:
        self._tracks = [track for track in self._tracks if track.number or now - track.motion.seen <= FLEETING_SECONDS]

    def _meet(self, track: Track, box: Box, captured: float, *, still: bool) -> None:
        track.motion.saw(box, captured)
        track.sightings += not still
        track.surest = max(track.surest, box.score)
        if not track.number and track.sufficient:
            self._numbered += 1
            track.number = self._numbered

    def _begin(self, boxes: Sequence[Box], matched: dict[int, Track], captured: float) -> None:
        room = MOST_TRACKS - len(self._tracks)
        new = [box for number, box in _surest(boxes) if number not in matched][: max(0, room)]
        self._tracks += [Track(box.label, Motion(box, captured), box, box.score) for box in new]

    def _matched(self, boxes: Sequence[Box], captured: float) -> dict[int, Track]:
        """By the place of the box in its frame."""
        taken: set[int] = set()
        matched: dict[int, Track] = {}
        for _, _, track, box in sorted(self._pairs(boxes, captured)):
            if track not in taken and box not in matched:
                taken.add(track)
                matched[box] = self._tracks[track]
        return matched

    def _pairs(self, boxes: Sequence[Box], captured: float) -> Iterator[_Pair]:
        """What may be the same."""
        by_label: dict[str, list[_Candidate]] = {}
        for number, box in sorted(_surest(boxes), key=lambda each: each[1].x0):
            rank = 0 if box.score >= SURE else 1
            by_label.setdefault(box.label, []).append((box.x0, box.y0, box.x1, box.y1, number, rank))
        for index, track in enumerate(self._tracks):
            if candidates := by_label.get(track.label):
                unseen = _UNSEEN * min(1.0, captured - track.motion.seen)
                for number, rank, overlap in _near(track.motion, captured, candidates):
                    yield rank if track.number else 2, unseen - overlap, index, number


def _surest(boxes: Sequence[Box]) -> list[tuple[int, Box]]:
    """With their places; all of them, or those with the best scores of a crowd."""
    numbered = list(enumerate(boxes))
    if len(numbered) > MOST_BOXES:
        numbered = sorted(numbered, key=lambda each: -each[1].score)[:MOST_BOXES]
    return numbered


def _near(motion: Motion, captured: float, candidates: Sequence[_Candidate]) -> Iterator[tuple[int, int, float]]:
    """Number and rank of the boxes that are near enough to what is expected, and how much they overlap with it.
    `candidates` lie in the order of their left sides.
    """
    (x0, y0, x1, y1), spread = motion.at(captured)
    was = motion.was
    widen = min(_WIDEST, _WIDENED * spread)
    wide, high = x1 - x0, y1 - y0
    # A person is a slim box that walks as fast as a wide one: the longer side counts, whichever way it lies.
    by_x, by_y = 2 * widen * max(wide, high / 2), 2 * widen * max(high, wide / 2)  # on both sides together
    left, right = min(x0, was[0]) - by_x, max(x1, was[2]) + by_x
    top, bottom = min(y0, was[1]) - by_y, max(y1, was[3]) + by_y
    for candidate in candidates:
        if candidate[0] >= right:
            return
        if candidate[2] > left and candidate[1] < bottom and candidate[3] > top:
            overlap = _overlap((x0, y0, x1, y1), candidate, by_x, by_y)
            if overlap < _STANDING:  # or it cannot be more where it stood
                overlap = max(overlap, _STANDING * _overlap(was, candidate, by_x, by_y))
            if overlap >= _LEAST:
                yield candidate[4], candidate[5], overlap


def _overlap(area: Area, candidate: _Candidate, by_x: float, by_y: float) -> float:
    """Of both, wider by so much: what they share of what they cover together."""
    x0, y0, x1, y1 = area
    left, top, right, bottom, _, _ = candidate
    # Conditions, not `min` and `max`, which take three times as long: this is asked most often of all.
    across = (x1 if x1 < right else right) - (x0 if x0 > left else left) + by_x  # noqa: FURB136
    down = (y1 if y1 < bottom else bottom) - (y0 if y0 > top else top) + by_y  # noqa: FURB136
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / ((x1 - x0 + by_x) * (y1 - y0 + by_y) + (right - left + by_x) * (bottom - top + by_y) - shared)
