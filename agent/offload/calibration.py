"""How often an answer is right, from the scores of its boxes: isotonic regression, begun from the release's profile.

Rules that hold here:

- A higher score is never trusted less: bins of scores that say otherwise are taken together (pool adjacent violators).
- An answer is as sure as its worst box. One that saw nothing is as sure as such answers have been.
- What the profile says has the weight of a few samples in each bin, so that it holds until the box has seen its own.
- A bin remembers about two hundred samples: a season changes what a score means.

Source: Zadrozny and Elkan, 2002. The fit is `protos.isotonic`'s, as packaging's is.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Box
from protos.isotonic import at, rising

BINS = 16  # of raw scores
PROFILE_SAMPLES = 8.0  # in each bin
NOTHING_SEEN = 0.8  # P that nothing is there, of a release that tells nothing of it
FADES = 0.995  # a sample of the same bin
FIT_EVERY = 16  # samples


class Calibration:
    """`knots`: raw score -> P(correct), rising in both, as the profile has them."""

    __slots__ = ("_curve", "_nothing", "_right", "_samples", "_since")

    def __init__(self, knots: Sequence[tuple[float, float]], nothing_seen: float = NOTHING_SEEN) -> None:
        self._samples = [PROFILE_SAMPLES] * BINS
        self._right = [PROFILE_SAMPLES * _said(knots, _middle(j)) for j in range(BINS)]
        self._nothing = [PROFILE_SAMPLES, PROFILE_SAMPLES * nothing_seen]  # samples, and those that were right
        self._since = 0
        self._curve = self._fitted()

    def calibrated(self, score: float) -> float:
        """P(correct) of a raw score: between the middles of its bin and the next one, by a line."""
        place = min(BINS - 1.0, max(0.0, score * BINS - 0.5))
        j = int(place)
        low = self._curve[j]
        return low + (place - j) * (self._curve[min(BINS - 1, j + 1)] - low)

    def confidence(self, boxes: Sequence[Box]) -> float:
        """P that an answer is right: of its worst box, or of having seen nothing."""
        if not boxes:
            return self._nothing[1] / self._nothing[0]
        return self.calibrated(min(box.score for box in boxes))

    def learn(self, boxes: Sequence[Box], *, right: bool) -> None:
        """A better answer agreed with this one, or not."""
        if not boxes:
            self._nothing = [FADES * self._nothing[0] + 1.0, FADES * self._nothing[1] + right]
            return
        j = min(BINS - 1, max(0, int(min(box.score for box in boxes) * BINS)))
        self._samples[j] = FADES * self._samples[j] + 1.0
        self._right[j] = FADES * self._right[j] + right
        self._since += 1
        if self._since >= FIT_EVERY:
            self._since = 0
            self._curve = self._fitted()

    def _fitted(self) -> list[float]:
        return rising([right / n for right, n in zip(self._right, self._samples, strict=True)], self._samples)


def _middle(j: int) -> float:
    return (j + 0.5) / BINS


def _said(knots: Sequence[tuple[float, float]], score: float) -> float:
    """The score itself where there are no knots."""
    return at(knots, score) if knots else score
