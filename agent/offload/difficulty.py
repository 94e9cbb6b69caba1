"""How easy a camera's next frame is, told by how sure the box was of its last ones: Rasch's model. Pure.

    P(right) = 1 / (1 + exp(−(ability + ease)))        ability: log odds of a size's share of right answers

Rules that hold here:

- Ease is measured against how sure the same size is on the mean, as learned here: a release that promises too much or
  too little of all frames makes none of them hard.
- What a frame was expected to be is taken off before a mean learns from it: a size that is given the hard frames is not
  thought a worse one.
- The next frame of a tap is much like its last, and less so the longer that is ago.
- What is easy is easy for all sizes and for the cloud; those that are rarely right gain most by it, in the middle.

Source: Rasch, Probabilistic Models for Some Intelligence and Attainment Tests, 1960.
"""

from __future__ import annotations

import math

from agent.types import Tap

ALIKE = 0.8  # of how easy a frame was, that is so of the next
ALIKE_SECONDS = 0.1
FIRST_GAIN = 0.5  # of one answer in a size's mean; then one over its answers
GAIN = 0.02  # but at least this. Where answers follow soon, what is expected takes most of it off
MOST = 4.0  # log odds: surer is not told from this


class Difficulty:
    """All times are monotonic seconds; confidences are shares of right answers, 0 to 1."""

    __slots__ = ("_last", "_means")

    def __init__(self) -> None:
        self._last: dict[Tap, tuple[float, float]] = {}  # captured when, how easy
        self._means: dict[str, tuple[float, float]] = {}  # by size: log odds, answers

    def ease(self, tap: Tap, now: float) -> float:
        """Of a frame captured now, in log odds of a right answer; 0 is usual."""
        last = self._last.get(tap)
        return 0.0 if last is None else last[1] * ALIKE ** ((now - last[0]) / ALIKE_SECONDS)

    def heard(self, tap: Tap, size: str, metric: float, confidence: float, captured: float) -> None:
        """The box answered a frame with this size, right in `metric` of all, and is so sure of it."""
        odds = log_odds(confidence)
        mean, answers = self._means.get(size, (log_odds(metric), 1.0 / FIRST_GAIN))
        expected = self.ease(tap, captured)
        self._means[size] = mean + max(GAIN, 1.0 / answers) * (odds - mean - expected), answers + 1.0
        self._last[tap] = captured, odds - mean

    def forget(self, tap: Tap) -> None:
        """It feeds the lane no more."""
        self._last.pop(tap, None)


def log_odds(share: float) -> float:
    """Within MOST of even odds."""
    least = 1.0 / (1.0 + math.exp(MOST))
    share = min(1.0 - least, max(least, share))
    return math.log(share / (1.0 - share))


def eased(share: float, ease: float) -> float:
    """Right answers to frames of this ease, of what is right in `share` of all."""
    if ease == 0.0 or not 0.0 < share < 1.0:
        return share
    odds = share / (1.0 - share) * math.exp(ease)
    return odds / (1.0 + odds)
