"""How often an answer is right, from the scores of its boxes."""

from __future__ import annotations

from collections.abc import Sequence

from agent.types import Box


class Calibration:
    """`knots`: raw score -> P(correct), rising in both, as the profile has them."""

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        raise NotImplementedError

    def calibrated(self, score: float) -> float:
        """P(correct) of a raw score."""
        raise NotImplementedError

    def confidence(self, boxes: Sequence[Box]) -> float:
        """P that an answer is right: of its worst box, or of having seen nothing."""
        raise NotImplementedError

    def learn(self, boxes: Sequence[Box], *, right: bool) -> None:
        """A better answer agreed with this one, or not."""
        raise NotImplementedError
