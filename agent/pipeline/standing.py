"""What a lane says of itself when it is asked how it stands. Reads, and changes nothing that decides."""

from __future__ import annotations

from agent.offload import standing
from agent.offload.ladder import Ladder
from agent.offload.standing import Link, Standing
from agent.pipeline.lane import Lane


def of(lane: Lane, ladder: Ladder, now: float) -> Standing:
    """At monotonic `now`, with the rung as it was looked at last."""
    here, there, terms = lane.here, lane.there, lane.terms
    went = standing.routes(lane.accounts, list(here.sizes)[-1], now)
    load = here.rate(now) * here.each / here.width
    link = Link(8 * there.link.bytes_per_second(now), there.link.rtt.mean) if there.allowed else None
    left = there.budget.left(now) if there.allowed else None
    there.prices.elapse(now)
    return Standing(
        routes=went,
        load=load,
        link=link,
        bits_left=left,
        money_left=None if terms.money_per_day is None else terms.money_per_day - there.money.within_day(now),
        prices=there.prices.shown(),
        rung=ladder.rung,
        rung_why=ladder.why,
        why=standing.why(lane.accounts, went, load, now),
    )
