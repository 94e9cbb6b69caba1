"""A decision log, replayed: what was decided and what came of it, and what other policies would have earned. Pure.

Two choices of a frame are looked at, each for itself, what comes after it being as in the log: up or not at its
arrival; and up or not with an answer of the box in hand. Other policies go by the scores of the log at another price:
what going up took of the budgets counts `factor` times.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.offload.decisions import Decision
from agent.offload.explain import Draw
from agent.offload.off_policy import RARE, Estimate, Step, estimate
from protos.outcomes import IN_TIME

UP, STAY = "up", "stay"
FACTORS = (0.0, 0.5, 2.0)  # of the price

Policy = Callable[[Draw], Mapping[str, float]]


@dataclass(frozen=True)
class Route:
    """Frames that were decided in one way, and what came of them in the mean."""

    chosen: str
    frames: int
    in_time: float  # share
    worth: float  # of a frame
    uplink_bytes: float  # of a frame


@dataclass(frozen=True)
class Other:
    """Another policy: what a frame would have been worth, and would have sent."""

    name: str
    worth: Estimate
    uplink_bytes: Estimate


@dataclass(frozen=True)
class Choice:
    """One of the two, over a log."""

    again: bool  # with an answer in hand
    choices: int
    by_chance: int  # of these, where each way had its chance
    others: tuple[Other, ...]


def routes(made: Sequence[Decision]) -> list[Route]:
    """Most frames first."""
    counted = Counter(each.chosen for each in made)
    return [_route(chosen, [each for each in made if each.chosen == chosen]) for chosen, _ in counted.most_common()]


def _route(chosen: str, made: Sequence[Decision]) -> Route:
    count = len(made)
    return Route(
        chosen,
        count,
        sum(each.outcome in IN_TIME for each in made) / count,
        math.fsum(each.reward for each in made) / count,
        sum(each.uplink_bytes for each in made) / count,
    )


def choice(made: Iterable[Decision], factors: Sequence[float] = FACTORS, *, again: bool) -> Choice:
    """What other policies would have earned at this choice."""
    drawn = [(each, draw) for each in made for draw in each.draws if draw.again == again]
    policies: dict[str, Policy] = {
        **{_named(factor): _priced(factor) for factor in factors},
        "never up": lambda _: {STAY: 1.0},
        "always up": lambda _: {UP: 1.0},
    }
    others = tuple(_other(name, policy, drawn) for name, policy in policies.items())
    by_chance = sum(RARE <= draw.likely <= 1.0 - RARE for _, draw in drawn)
    return Choice(again, len(drawn), by_chance, others)


def drew_lots(made: Iterable[Decision]) -> bool:
    """Does the log show a policy that may leave choices to chance? It does so only with a release that was evaluated,
    and only with such a one it asks again.
    """
    return any(draw.again or 0.0 < draw.likely < 1.0 for each in made for draw in each.draws)


def _other(name: str, policy: Policy, drawn: Sequence[tuple[Decision, Draw]]) -> Other:
    wanted = [policy(draw) for _, draw in drawn]
    worth = estimate([_step(draw, made.reward) for made, draw in drawn], wanted)
    sent = estimate([_step(draw, made.uplink_bytes) for made, draw in drawn], wanted)
    return Other(name, worth, sent)


def _step(draw: Draw, reward: float) -> Step:
    return Step({UP: draw.likely, STAY: 1.0 - draw.likely}, UP if draw.went else STAY, reward)


def _named(factor: float) -> str:
    return f"price × {factor:g}" if factor else "no price"


def _priced(factor: float) -> Policy:
    """By the scores of the log, at another price."""

    def policy(draw: Draw) -> Mapping[str, float]:
        return {UP if draw.ahead + (1.0 - factor) * draw.price > 0.0 else STAY: 1.0}

    return policy
