"""Qiu's offloading under a token bucket: a DQN says after each answer of the box whether it is worth a token.

After Qiu, Wang, Chakrabarti, Guérin and Lu, "Adaptive edge offloading for image classification under rate limit", 2022:
the state is the bucket's level, the answer's offloading metric (here: what the cloud is expected to gain) and the time
since the frame before; the reward is the gain. It is trained on a sequence that the box's own answers made in the
simulator on a training seed. As in the paper the link is not seen: what leaves the bucket is thought to arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from bench.decision.rivals.books import Choice, Job, Sight
from bench.decision.rivals.dqn import Array, Episode, Network, trained
from bench.decision.rivals.tokens import TokenBucket
from bench.decision.rivals.worth import Worth
from protos.outcomes import Outcome

STEPS = 40_000  # of training
DEPTH_SECONDS = 2.5  # of the bucket, at its own rate
USUAL_GAP = 0.02  # seconds between answers, by which gaps are scaled
Answered = tuple[float, float]  # when, and with which confidence


@dataclass
class Recorder:
    """The box alone, which writes down when it answered and how sure it was: what the network is trained on."""

    size: str
    answers: list[Answered] = field(default_factory=list)

    def arrives(self, _job: Job, _sight: Sight) -> Choice:
        return Choice("box", self.size)

    def goes_up(self, _job: Job, confidence: float, sight: Sight) -> bool:
        self.answers.append((sight.now, confidence))
        return False

    def ended(self, _job: Job, _outcome: Outcome, _now: float) -> None:
        pass


@dataclass
class TokenDqn:
    size: str
    network: Network
    worth: Worth
    bucket: TokenBucket
    _last: float = 0.0

    def arrives(self, _job: Job, _sight: Sight) -> Choice:
        return Choice("box", self.size)

    def goes_up(self, _job: Job, confidence: float, sight: Sight) -> bool:
        bits = sight.wire.typical_bytes * 8
        seen = state(self.bucket.level(sight.now), gain(self.worth, confidence), sight.now - self._last)
        self._last = sight.now
        values = self.network.values(seen)
        if values[1] <= values[0] or not self.bucket.allows(bits, sight.now):
            return False
        self.bucket.spend(bits, sight.now)
        return True

    def ended(self, _job: Job, _outcome: Outcome, _now: float) -> None:
        pass


def bucket(bits_per_second: float) -> TokenBucket:
    return TokenBucket(bits_per_second, bits_per_second * DEPTH_SECONDS)


def learned(
    answers: Sequence[Answered],
    worth: Worth,
    bits_per_second: float,
    picture_bits: float,
    seed: int,
    steps: int = STEPS,
) -> Network:
    """A network for a box whose answers come like these, and whose pictures have about so many bits."""
    return trained(_world(answers, worth, bits_per_second, picture_bits), steps, seed)


def gain(worth: Worth, confidence: float) -> float:
    return max(0.0, worth.cloud - worth.box(confidence))


def state(level: float, gained: float, gap: float) -> Array:
    return np.array([level, gained, min(gap / USUAL_GAP, 5.0) / 5.0])


def _world(answers: Sequence[Answered], worth: Worth, rate: float, picture_bits: float) -> Episode:
    """The sequence over and over, with a bucket."""
    tokens = bucket(rate)
    gains = [gain(worth, confidence) for _, confidence in answers]
    gaps = [0.0, *(after - before for (before, _), (after, _) in pairwise(answers))]
    place, now = 0, 0.0

    def seen() -> Array:
        return state(tokens.level(now), gains[place], gaps[place])

    def act(action: int) -> tuple[float, Array]:
        nonlocal place, now
        reward = 0.0
        if action and tokens.allows(picture_bits, now):
            tokens.spend(picture_bits, now)
            reward = gains[place]
        place = (place + 1) % len(gains)
        now += gaps[place]
        return reward, seen()

    return Episode(seen, act, inputs=3, actions=2)
