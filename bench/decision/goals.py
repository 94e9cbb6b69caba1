"""What the decision must reach, and which of it was missed. Pure.

The figures are the design's (§10) and issue's; of a run without a scenario its goals are not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.decision.study import OURS, Mean

Means = Mapping[str, Mapping[str, Mapping[str, Mean]]]  # by scenario, contender, figure
EVERY = "*"  # scenario
STATIC = ("static", "static-in-budget")  # tuned for useful value, and within the budget


@dataclass(frozen=True)
class Goal:
    """`of`: the figure; `at_least` or `at_most` of it, by the mean of the seeds or, `worst`, by each of them."""

    scenario: str
    of: str
    what: str
    at_least: float | None = None
    at_most: float | None = None
    worst: bool = False


GOALS = (
    Goal("calibration", "of_optimum", "useful value of the optimum's", at_least=0.94),
    Goal("calibration", "of_optimum", "the same, worst seed", at_least=0.90, worst=True),
    Goal("calibration", "of_optimum_at_used", "of the optimum at the uplink really used", at_least=0.97),
    Goal("calibration", "of_optimum_with_difficulty", "of the optimum that knows difficulty", at_least=0.90),
    Goal("calibration", "on_time", "on time", at_least=0.98),
    Goal("mixed", "on_time", "on time with mixed deadlines", at_least=0.97),
    Goal("cut-off", "of_local_optimum", "of the box's own optimum with the cloud cut off", at_least=0.96),
    Goal("cameras-16", "jain", "Jain's index of 16 cameras", at_least=0.98),
    Goal("cameras-16", "least_share", "the least camera's share of the mean", at_least=0.80),
    Goal(EVERY, "late", "late of what was taken on", at_most=0.005),
    Goal(EVERY, "over_budget", "the most in any minute, of budget × 1.05", at_most=1.0, worst=True),
    Goal("cameras-16", "decision_us", "a decision, p99, µs of thread CPU time", at_most=200.0),
    Goal("cameras-16", "core", "of a core for deciding on 160 frames/s", at_most=0.03),
)


def missed(means: Means) -> list[str]:
    """A sentence each."""
    found = [sentence for goal in GOALS for sentence in _missed(goal, means)]
    gain = over_static(means)
    if gain is not None and gain < 4.0:
        found.append(f"capped: {gain:+.1f} points against the tuned static threshold, of +4")
    return found


def over_static(means: Means) -> float | None:
    """Points of useful value that the run capped at half of its uplink has more than the better static threshold."""
    ours, rivals = means.get("capped", {}).get(OURS), means.get("calibration", {})
    theirs = [rivals[name]["useful"].mean for name in STATIC if name in rivals]
    return 100 * (ours["useful"].mean - max(theirs)) if ours is not None and theirs else None


def _missed(goal: Goal, means: Means) -> list[str]:
    found = []
    for scenario, rows in means.items():
        mean = rows[OURS].get(goal.of)
        if mean is None or goal.scenario not in (EVERY, scenario):
            continue
        low, high = (mean.least, mean.most) if goal.worst else (mean.mean, mean.mean)
        if goal.at_least is not None and low < goal.at_least:
            found.append(f"{scenario}: {goal.what} {low:.4g}, of at least {goal.at_least:g}")
        if goal.at_most is not None and high > goal.at_most:
            found.append(f"{scenario}: {goal.what} {high:.4g}, of at most {goal.at_most:g}")
    return found
