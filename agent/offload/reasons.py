"""Why a frame went where it went, in words: for people who ask about one. Pure.

An action that was not chosen has a reason: it could not be, it was worth less, or there was no room for it. A frame has
one sentence, which says what was done with it, what spoke for that, and whether chance had a say.
"""

from __future__ import annotations

from agent.offload.decisions import Decision
from agent.offload.explain import Score
from agent.offload.policy import LIKELY, MARGIN, Route

CERTAIN = 0.9995  # a probability that is as good as 1

DONE = {
    Route.LOCAL: "run on the box",
    Route.CLOUD: "sent to the cloud",
    Route.HEDGE: "sent to the cloud, with a copy run on the box to see what that can do",
    Route.LATE: "run on the box, which had nothing else to do, though it was not planned to be in time",
    Route.CASCADE: "run on the box, and sent to the cloud for a second answer",
    Route.SHED: "given up",
}
PROBED = {
    Route.CLOUD: "sent to the cloud to see how the link is",
    Route.HEDGE: "run on the box, and sent to the cloud to see how the link is",
}
WEIGHED = {Route.HEDGE: Route.CLOUD, Route.LATE: Route.LOCAL}  # the action whose score counted; else the route's own
NAMES = {Route.LOCAL: "the box", Route.CLOUD: "the cloud", Route.CASCADE: "a second answer"}


def action(made: Decision) -> str:
    """The one of its scores that stands for what was chosen. Of a probe that the box runs too, that is the box's."""
    if made.probe and made.chosen == Route.HEDGE:
        return Route.LOCAL
    return WEIGHED.get(made.chosen, made.chosen)  # type: ignore[call-overload, no-any-return]


def why_not(made: Decision, other: str) -> str:
    """Why this action was not chosen, in a few words; "" of the one that was, or that went before it."""
    chosen, score = action(made), made.scores[other]
    if other == chosen or (chosen, other) == (Route.CASCADE, Route.LOCAL):
        return ""
    if score.why_not:
        return score.why_not
    best = made.scores.get(Route.LOCAL if chosen == Route.CASCADE else chosen)  # what a second answer adds is no whole
    if best is not None and score.score <= best.score:
        return f"worth {best.score - score.score:.3f} less" if best.score > score.score else "worth no more"
    if other == Route.LOCAL:
        late = score.on_time <= LIKELY
        return f"{score.on_time:.0%} likely in time" if late else "it would have been late, or made another so"
    if other in (Route.CLOUD, Route.CASCADE):
        return f"not better by {_margin(made):.3f}, which going up must be"
    return "it went up to see how the link is" if made.probe else "another way was open"


def sentence(made: Decision) -> str:
    """What was done with it, and why."""
    words = DONE | PROBED if made.probe else DONE
    done = words.get(made.chosen, "given up before anything was decided")  # type: ignore[call-overload]
    parts = [f"It was {done}", *_reasons(made)]
    return f"{parts[0]}: {'; '.join(parts[1:])}." if len(parts) > 1 else f"{parts[0]}."


def _reasons(made: Decision) -> list[str]:
    chosen, found = action(made), []
    own = made.scores.get(chosen)
    if chosen == Route.CASCADE and "confidence" in made.features:
        found.append(f"its answer was thought right in {made.features['confidence']:.0%} of such cases")
    if own is not None and chosen != Route.SHED:
        found.append(_weighed(own))
    found += [
        f"{NAMES[other]}: {reason}"
        for other in (Route.LOCAL, Route.CLOUD, Route.CASCADE)
        if other in made.scores and (reason := why_not(made, other))
    ]
    if made.propensity < CERTAIN:
        found.append(f"as two ways were nearly as good, by chance: {made.propensity:.0%} of such frames go this way")
    return found


def _weighed(own: Score) -> str:
    price = f", less {own.price:.3f} for what it takes of the budgets" if own.price else ""
    return f"worth {own.worth:.3f}, {own.on_time:.0%} likely in time{price}"


def _margin(made: Decision) -> float:
    return MARGIN * made.features.get("value", 1.0)
