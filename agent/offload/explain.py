"""Why a frame went where it went: what each way was thought to be worth when that was decided.

One account for each frame; a lane keeps the last few hundred. They are what `longshore explain frame` tells and what
the decision log samples: features, the scores of all actions, the one chosen with its propensity, and the outcome.

What is read again from a log has bounds here: beyond them lies no decision but damage. They hold where a line is
decoded, and cost nothing where a box makes these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from protos.ids import CameraName
from protos.outcomes import Outcome

KEPT = 512  # accounts of a lane

PRINTED = Meta(max_length=256, pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z")  # of names and words
Text = Annotated[str, PRINTED]
Amount = Annotated[float, Meta(ge=-1e15, le=1e15)]  # in any unit; squares of a whole log's are numbers yet
Chance = Annotated[float, Meta(ge=0.0, le=1.0)]


class Score(msgspec.Struct, frozen=True):
    """One action, as it looked. `score` is what actions are compared by: worth, less price."""

    worth: Amount  # expected: value of the frame × P(correct and in time), 0 where it cannot be
    on_time: Chance  # probability, 0 to 1
    price: Amount  # of what it uses of the budgets, in the same unit as worth
    score: Amount
    why_not: Text = ""  # in a few words, where it was not chosen or could not be


class Draw(msgspec.Struct, frozen=True):
    """Up or not: one choice between the two, by chance where they were as good as each other (`policy.goes`)."""

    again: bool  # with an answer of the box in hand; else at the frame's arrival
    ahead: Amount  # by how much going up was better, in units of score
    price: Amount  # that this counted for going up, beyond that of staying
    likely: Chance  # probability of going up, given the features
    went: bool


class Account(msgspec.Struct):
    """One frame's decisions. `outcome` comes at its end."""

    camera: CameraName
    seq: int
    at: float  # monotonic seconds of its arrival
    scores: dict[str, Score] = {}  # by action; msgspec gives each its own
    chosen: str = ""
    probe: bool = False  # it went up to see how the link is, whatever that was worth
    draws: list[Draw] = []  # by which it was chosen, in their order; none where there was one way only
    features: dict[str, float] = {}  # what the scores were made from, in base units
    size: str = ""  # of the model, where it ran on the box
    why_size: str = ""  # and why in no larger one
    outcome: Outcome | None = None
    sent: float = 0.0  # the cloud's share of right answers to pictures encoded as its was; 0 where none went up

    @property
    def propensity(self) -> float:
        """Probability of what was chosen, given the features."""
        return propensity(self.draws)


def propensity(draws: Iterable[Draw]) -> float:
    """Probability of what was chosen by these, given the features."""
    return math.prod(draw.likely if draw.went else 1.0 - draw.likely for draw in draws)
