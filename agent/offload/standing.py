"""How a deployment stands on this box: where its frames go, against what load and link, at which prices, and why. Pure.

It is what a person is shown, made from a lane's accounts when somebody asks; nothing is decided by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from agent.offload.explain import Account
from agent.offload.policy import Route
from protos.outcomes import Outcome

WINDOW_SECONDS = 10.0  # of frames, at most
FULL = 1.0  # load above which the box cannot do all
SOME = 0.01  # share of frames that is worth a word
NAMED = 2  # reasons why frames are given up
_UP = {Route.CLOUD, Route.CASCADE}  # the second with an answer of the box in hand
_GIVEN_UP = {Outcome.SHED, Outcome.SUPERSEDED, Outcome.EXPIRED}
_SAID = {  # of a score's `why_not`, after "since"
    "no cloud": "no cloud node may be asked",
    "not in time": "the cloud would not be in time either",
    "enough are under way": "enough are under way to the cloud",
    "the uplink budget is spent": "the uplink budget of this minute is spent",
}


class Routes(msgspec.Struct, frozen=True):
    """Where the last `frames` frames went: shares that add up to 1, or nothing but zeros."""

    frames: int = 0
    local: float = 0.0
    small: float = 0.0  # a smaller size of the model than the largest
    cloud: float = 0.0
    hedge: float = 0.0
    shed: float = 0.0


class Link(msgspec.Struct, frozen=True):
    """The way to the cloud, as it is thought to be."""

    bits_per_second: float
    rtt: float  # seconds, without transfer and inference


class Standing(msgspec.Struct, frozen=True):
    """`link`: None where no cloud helps; `prices`: of a unit of each budget, in values of a frame."""

    routes: Routes
    load: float  # inference that arrives, of what the box can do
    link: Link | None = None
    bits_left: float | None = None  # that may be sent now; None: no cloud helps
    money_left: float | None = None  # within a day, in the operator's currency; None: no limit
    prices: Mapping[str, float] = {}  # msgspec gives each its own
    rung: str = ""
    rung_why: str = ""
    why: str = ""


def routes(accounts: Iterable[Account], largest: str, now: float) -> Routes:
    """Of the accounts of the last WINDOW_SECONDS before monotonic `now`. `largest`: size of the model."""
    went = Counter(route(each, largest) for each in accounts if each.at > now - WINDOW_SECONDS)
    frames = went.total()
    return Routes(frames, **{route: count / frames for route, count in went.items()}) if frames else Routes()


def _given_up(account: Account) -> bool:
    return account.outcome in _GIVEN_UP or account.chosen == Route.SHED


def route(account: Account, largest: str) -> str:
    """Where its frame went, as `Routes` has it. `largest`: size of the model."""
    if _given_up(account):
        return "shed"
    if account.chosen in _UP:
        return "cloud"
    if account.chosen == Route.HEDGE:
        return "hedge"
    return "local" if account.size in ("", largest) else "small"  # "": it waits, or there is one size


def why(accounts: Iterable[Account], found: Routes, load: float, now: float) -> str:
    """What moves the frames of the last WINDOW_SECONDS, in one sentence. `found`: their routes."""
    if not found.frames:
        return "no frame comes"
    said = f"the box is asked for {100 * load:.0f} % of what it can infer"
    went = {"is sent to the cloud": found.cloud + found.hedge, "is answered by a smaller size": found.small}
    parts = [f"{100 * share:.0f} % {words}" for words, share in went.items() if share >= SOME]
    if found.shed >= SOME:
        parts.append(f"{100 * found.shed:.0f} % is given up{_since(accounts, found.frames, now)}")
    if not parts:
        return f"{said}, and answers all itself" if load <= FULL else f"{said}; it answers all the same"
    return f"{said}: {' and '.join(parts)}"


def _since(accounts: Iterable[Account], frames: int, now: float) -> str:
    """Why those that were given up were: for one reason, or the two most frequent with their shares of all `frames`."""
    given_up = (each for each in accounts if each.at > now - WINDOW_SECONDS and _given_up(each))
    first, *others = Counter(map(_reason, given_up)).most_common(NAMED)
    if not any(count / frames >= SOME for _, count in others):
        return f" since {first[0]}"
    shares = [f"{100 * count / frames:.0f} % since {reason}" for reason, count in (first, *others)]
    return f" ({', '.join(shares)})"


def _reason(account: Account) -> str:
    if account.outcome is Outcome.SUPERSEDED:
        return "newer frames took their place"
    if account.outcome is Outcome.EXPIRED:
        return "no answer came in time"
    cloud = account.scores.get("cloud")
    why_not = cloud.why_not if cloud else ""
    return _SAID.get(why_not, why_not) or "other frames are worth more"
