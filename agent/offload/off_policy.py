"""What another policy would have earned, from the log of one that now and then left a choice to chance.

Each step of the log weighs as much as the other policy would rather have done what was done:

    w = π(chosen) / p(chosen)        value = Σ w·r / n  (inverse propensity),  Σ w·r / Σ w  (self-normalised)

Rules that hold here:

- A log tells nothing of what it never tried. A step is `told` where everything that the other policy might do had a
  probability of RARE at least; this depends on the odds alone, so the rest is left out without bending the estimate,
  and counted.
- An estimate is set against what the log itself earned on the same steps: the difference is what matters, and its
  interval is narrower than that of either.
- The self-normalised form is the one to read: it is bent by a share of 1/n and far steadier. The other is there because
  it is not bent at all: where the two disagree, the log is too short.
- Intervals are of 95 %, by the variance of the linearised estimate, so for logs of a hundred steps and more.
- Rewards must not depend on other steps. Those of a busy box do a little: a frame that had gone up would have left the
  engine to others. What the log is asked must be a small change.

Sources: Horvitz and Thompson, 1952; Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual
Learning, NeurIPS 2015; its variance and the effective number of samples: Owen, Monte Carlo theory, methods and
examples, 2013, sections 9.2 and 9.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RARE = 0.01  # a probability below it is no trial: one such step would weigh as a hundred others
NORMAL_95 = 1.96  # standard deviations


@dataclass(frozen=True, slots=True)
class Step:
    """One choice of the log: with which probability each action would have been taken, which was, what came of it."""

    odds: Mapping[str, float]
    chosen: str
    reward: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over steps, and what it may be with 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of another policy on a log."""

    steps: int  # that the log has
    told: int  # of these, what the log tells of
    effective: float  # so many steps of the other policy's own would tell as much
    unbiased: Interval  # by inverse propensity
    normalised: Interval
    logged: float  # what the log's own policy earned on these steps, in the mean
    gain: Interval  # normalised, less logged


NOTHING = Interval(math.nan, math.nan, math.nan)


def told(step: Step, wanted: Mapping[str, float]) -> bool:
    """Had everything that is wanted its chance? `wanted`: probabilities of actions under the other policy."""
    return all(step.odds.get(action, 0.0) >= RARE for action, probability in wanted.items() if probability > 0.0)


def estimate(steps: Sequence[Step], wanted: Sequence[Mapping[str, float]]) -> Estimate:
    """What a policy of these probabilities would have earned. `wanted`: of each step.

    Without a step that the log tells of, or with weights that are all 0, values are NaN.
    """
    pairs = [(step, each) for step, each in zip(steps, wanted, strict=True) if told(step, each)]
    rewards = [step.reward for step, _ in pairs]
    weights = [each.get(step.chosen, 0.0) / step.odds[step.chosen] for step, each in pairs]
    whole = math.fsum(weights)
    if not whole:
        return Estimate(len(steps), len(pairs), 0.0, NOTHING, NOTHING, _mean(rewards), NOTHING)
    unbiased = _around([weight * reward for weight, reward in zip(weights, rewards, strict=True)])
    value = math.fsum(weight * reward for weight, reward in zip(weights, rewards, strict=True)) / whole
    logged, scale = _mean(rewards), len(pairs) / whole
    pulls = [scale * weight * (reward - value) for weight, reward in zip(weights, rewards, strict=True)]
    gains = [pull - (reward - logged) for pull, reward in zip(pulls, rewards, strict=True)]
    return Estimate(
        steps=len(steps),
        told=len(pairs),
        effective=whole**2 / math.fsum(weight**2 for weight in weights),
        unbiased=unbiased,
        normalised=_around([value + pull for pull in pulls]),
        logged=logged,
        gain=_around([value - logged + gain for gain in gains]),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _around(values: Sequence[float]) -> Interval:
    """Their mean."""
    mean, count = _mean(values), len(values)
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    spread = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = NORMAL_95 * math.sqrt(spread / count)
    return Interval(mean, mean - half, mean + half)
