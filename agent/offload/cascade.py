"""Which answers of the box are worth a second one from the cloud: HI-LCB-lite with cost, and a test for drift."""

from __future__ import annotations

from collections.abc import Callable


class Cascade:
    """`prior`: confidence -> P(agrees with the cloud), of before the first sample."""

    def __init__(self, prior: Callable[[float], float] = lambda confidence: confidence) -> None:
        raise NotImplementedError

    def gain(self, confidence: float, cloud: float) -> float:
        """What a cloud right in `cloud` of its answers would add to an answer of this confidence, 0 to 1, hopefully."""
        raise NotImplementedError

    def learn(self, confidence: float, *, agreed: bool) -> None:
        """A frame that was sent up came back, in time or late."""
        raise NotImplementedError
