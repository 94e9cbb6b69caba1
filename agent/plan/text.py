"""A plan as people read it: what was asked, a table, and one sentence; and as a document for programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agent.plan.forecast import ENOUGH, Plan, Share
from agent.plan.wish import Wish
from agent.trial.tally import table

TITLES = ("", "IN TIME", "RIGHT", "ON THE BOX", "IN THE CLOUD", "GIVEN UP", "LATE", "UPLINK")
GUESSED = "RIGHT is a careful guess: nobody measured how often this release's answers are right ('longshore package')"


def text(plan: Plan) -> str:
    rows = [_row("as asked", plan.asked), *(_row(name, share) for name, share in plan.others)]
    notes = [] if plan.wish.measured else [GUESSED]
    return "\n\n".join([asked(plan.wish), table(TITLES, rows), sentence(plan), *notes])


def asked(wish: Wish) -> str:
    busy = "" if wish.busy >= 1.0 else f" while they are busy, {wish.busy:.0%} of the time"
    due = f"answers due after {wish.deadline * 1000:.0f} ms"
    sizes = ", ".join(f"{each.name or 'the model'} {each.seconds * 1000:.3g} ms" for each in wish.box.sizes)
    calls = "one call at a time" if wish.box.width == 1 else f"{wish.box.width} calls at once"
    return "\n".join(
        [
            f"cameras: {wish.cameras}, {wish.rate:g} frames a second each{busy}; {due}",
            f"box: {sizes}, {calls} ({wish.box.says})",
            f"link: {_way(wish) if wish.link > 0 else 'none'}",
        ]
    )


def _way(wish: Wish) -> str:
    unsteady = ", unsteady" if wish.unsteady else ""
    return f"{rate(wish.link)}{unsteady}, {wish.rtt * 1000:.0f} ms there and back; budget {rate(wish.budget)}"


def _row(name: str, share: Share) -> tuple[str, ...]:
    shares = (share.in_time, share.right, share.box, share.cloud, share.given_up, share.late)
    return (name, *(f"{each:.1%}" for each in shares), rate(share.uplink))


def sentence(plan: Plan) -> str:
    """What it comes to."""
    share = plan.asked
    spread = f" ({share.worst:.1%} to {share.best:.1%})" if share.best - share.worst >= 0.001 else ""
    said = f"of 100 frames {_of_100(share.in_time)} are answered in time{spread}"
    if share.cloud >= 0.005:
        said += f", {_of_100(share.cloud)} of them by the cloud with {rate(share.uplink)}"
    if share.in_time >= ENOUGH:
        return f"{said}: this is enough"
    helps = plan.helps_most
    if helps is None:
        return f"{said}, and nothing in this table helps: give the answers more time"
    return f"{said}; what helps most is {helps[0]}: {_of_100(helps[1].in_time)}"


def _of_100(share: float) -> str:
    """Of so many as nearly all, the tenths count."""
    return "all" if share >= 0.9995 else f"{100 * share:.1f}" if share >= 0.985 else f"{100 * share:.0f}"


def rate(bits: float) -> str:
    if bits <= 0:
        return "nothing"
    return f"{bits / 1e6:.3g} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.0f} kbit/s"


def document(plan: Plan) -> dict[str, Any]:
    """Shares of 0 to 1, seconds, bits a second."""
    wish = plan.wish
    return {
        "asked": {
            "cameras": wish.cameras,
            "rate": wish.rate,
            "busy": wish.busy,
            "deadlineSeconds": wish.deadline,
            "linkBitsPerSecond": wish.link,
            "roundTripSeconds": wish.rtt,
            "unsteady": wish.unsteady,
            "budgetBitsPerSecond": wish.budget,
            "sizes": [{"name": each.name, "seconds": each.seconds, "right": each.metric} for each in wish.box.sizes],
            "callsAtOnce": wish.box.width,
            "rightIsMeasured": wish.measured,
        },
        "shares": _share(plan.asked),
        "otherwise": {name: _share(share) for name, share in plan.others},
        "says": sentence(plan),
    }


def _share(share: Share) -> dict[str, float]:
    words = {"in_time": "inTime", "given_up": "givenUp", "uplink": "uplinkBitsPerSecond"}
    return {words.get(name, name): round(value, 4) for name, value in asdict(share).items()}
