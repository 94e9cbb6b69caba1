"""How far a deployment has come down: GPU → other provider → CPU → cloud → lower rate, as one visible state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    GPU = "gpu"
    OTHER = "other"
    CPU = "cpu"
    CLOUD = "cloud"
    LOWER_RATE = "lower_rate"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a deployment has now."""

    provider: str  # that answers on the box, as agent.providers spells it; empty: none does
    wanted: str  # provider that was asked for
    cloud: bool  # it may be asked, and answers
    lowered: bool  # a camera gives fewer frames than configured


class Ladder:
    """`rung` and `why` (one sentence) hold as of the last `look`."""

    rung: Rung
    why: str

    def look(self, facts: Facts, now: float) -> bool:
        """True when the rung has changed. Down at once; up when it held for a while."""
        raise NotImplementedError
