"""LinUCB over discrete ways of answering a frame (Li et al., WWW 2010, disjoint models), under a token bucket.

An arm is a size on the box, a size with a second opinion for uncertain answers, or the cloud. The context is what the
box sees when a frame arrives. The reward is what the answer was worth in time: of the cloud its metric, of the box the
chance that it is right by its calibrated score, and nothing for a late one. So it learns online, from nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from bench.decision.rivals.books import UP, Choice, Job, Sight
from bench.decision.rivals.tokens import TokenBucket
from bench.decision.rivals.worth import Worth
from protos.outcomes import IN_TIME, Outcome

# The best of a grid on the training world (0.02 to 0.5, 0.999 to 1): wider bounds try medium in every rush.
ALPHA = 0.02  # width of the confidence bound, in rewards
DISCOUNT = 0.9998  # of what an arm knows, per answer it gave: the world drifts
UNCERTAIN = 0.5  # a box's answer that is right with less than this gets a second opinion
FEATURES = 7
Vector = npt.NDArray[np.float64]


@dataclass
class _Arm:
    """Ridge regression of the reward on the context."""

    precision: Vector = field(default_factory=lambda: np.eye(FEATURES))
    moment: Vector = field(default_factory=lambda: np.zeros(FEATURES))

    def bound(self, context: Vector) -> float:
        solved = np.linalg.solve(self.precision, np.stack([self.moment, context], axis=1))
        return float(context @ solved[:, 0] + ALPHA * math.sqrt(context @ solved[:, 1]))

    def learn(self, context: Vector, reward: float) -> None:
        self.precision = DISCOUNT * self.precision + (1 - DISCOUNT) * np.eye(FEATURES) + np.outer(context, context)
        self.moment = DISCOUNT * self.moment + reward * context


@dataclass
class LinUcb:
    """`sizes`: names, cheapest first."""

    sizes: tuple[str, ...]
    worth: Worth
    bucket: TokenBucket
    _arms: dict[str, _Arm] = field(default_factory=dict)
    _tried: dict[int, tuple[str, Vector]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = chain(["cloud"], *((f"box {size}", f"both {size}") for size in self.sizes))
        self._arms = {name: _Arm() for name in names}

    def arrives(self, job: Job, sight: Sight) -> Choice:
        context = self._context(job, sight)
        affords = self.bucket.allows(sight.wire.typical_bytes * 8, sight.now)
        open_to_it = {name: arm for name, arm in self._arms.items() if affords or name.startswith("box")}
        name = max(open_to_it, key=lambda each: open_to_it[each].bound(context))
        self._tried[job.offer.number] = (name, context)
        if name == "cloud":
            self.bucket.spend(sight.wire.typical_bytes * 8, sight.now)
            return UP
        return Choice("box", name.partition(" ")[2])

    def _context(self, job: Job, sight: Sight) -> Vector:
        slack = max(1e-3, job.offer.deadline - sight.now)
        work = sight.waiting * sight.costs[self.sizes[-1]].expected() / slack
        way = min(3.0, sight.wire.need(sight.wire.typical_bytes) / slack)
        tokens = self.bucket.level(sight.now)
        return np.array([1.0, work, work * work, way, way * way, tokens, min(1.0, slack)])

    def goes_up(self, job: Job, confidence: float, sight: Sight) -> bool:
        bits = sight.wire.typical_bytes * 8
        wanted = self._tried[job.offer.number][0].startswith("both") and self.worth.box(confidence) < UNCERTAIN
        if not wanted or not self.bucket.allows(bits, sight.now):
            return False
        self.bucket.spend(bits, sight.now)
        return True

    def ended(self, job: Job, outcome: Outcome, _now: float) -> None:
        tried = self._tried.pop(job.offer.number, None)
        if tried is None:
            return
        by_cloud = outcome is Outcome.OK_CLOUD
        reward = 0.0 if outcome not in IN_TIME else self.worth.cloud if by_cloud else self.worth.box(job.confidence)
        self._arms[tried[0]].learn(tried[1], reward)

    @property
    def learned(self) -> Mapping[str, float]:
        """Answers that each arm gave, as far as they still count."""
        return {name: float(arm.precision[0, 0]) - 1.0 for name, arm in self._arms.items()}
