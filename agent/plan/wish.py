"""What a plan is asked for, and the world of the simulator that it means. Pure.

Rules that hold here:

- seconds, bits a second and shares inside; people write `250ms` and `4Mbit/s`, as a Deployment has them;
- a camera that is busy for less than all of its time is on and off, each for itself, four seconds on at a time;
- an unsteady link wanders between a thirtieth and nearly three times of what it has, a step every four seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agent.offload.profile import PRIOR
from agent.simulation.contender import Picture, Size
from agent.simulation.scenario import Arrivals, Scenario, Spell, Step, Uplink
from protos.errors import Rejected

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s)")
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s?(k|M|G)?bit/s")
_BITS = {None: 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
WANDER = (
    1 / 30,
    1 / 6,
    0.5,
    1.0,
    5 / 3,
    8 / 3,
)  # times the link, as the calibration scenario's steps are to their third
SECONDS = 60.0  # of each run, that count
SETTLING = 30.0  # before them: prices find their level, and a bucket that was full is no gift any more
SEEDS = (1, 2)


def seconds(text: str, where: str) -> float:
    """`250ms` or `1.5s`. Raises Rejected."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Rejected(f'{where} must be a duration such as "250ms" or "2s", not {text!r}')
    return float(found[1]) / (1000.0 if found[2] == "ms" else 1.0)


def bits_per_second(text: str, where: str) -> float:
    """`4Mbit/s` or `800kbit/s`; `0bit/s` is no link. Raises Rejected."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise Rejected(f'{where} must be a rate such as "4Mbit/s" or "800kbit/s", not {text!r}')
    return float(found[1]) * _BITS[found[2]]


@dataclass(frozen=True)
class Box:
    """Its model: sizes cheapest first. `interference`: times that a call takes where another runs beside it."""

    sizes: tuple[Size, ...]
    width: int = 1
    interference: float = 1.0
    says: str = ""  # where the figures are from


@dataclass(frozen=True)
class Cloud:
    """Who helps: seconds of its inference, and what it makes of the pictures that go up."""

    seconds: float = 0.020
    pictures: tuple[Picture, ...] = tuple(
        Picture(each.quality, each.max_side, each.bytes, each.metric) for each in PRIOR.jpeg
    )


@dataclass(frozen=True)
class Wish:
    """`rate`: frames a second of each camera while it is busy; `link` 0: no cloud."""

    box: Box
    cloud: Cloud
    cameras: int
    rate: float
    busy: float
    deadline: float
    link: float
    rtt: float
    budget: float
    unsteady: bool = False
    measured: bool = True  # shares of right answers are the release's own, and no guesses

    @property
    def offered(self) -> float:
        """Frames a second of all cameras, on average."""
        return self.cameras * self.rate * self.busy


def scenario(wish: Wish, run_seconds: float = SECONDS) -> Scenario:
    kind = "steady" if wish.busy >= 1.0 else "onoff"
    return Scenario(
        name="plan",
        says="what was asked for",
        seconds=run_seconds,
        arrivals=Arrivals(kind, cameras=wish.cameras, rate=wish.rate, calm_on=wish.busy),
        uplink=_uplink(wish, run_seconds),
        sizes=wish.box.sizes,
        pictures=wish.cloud.pictures,
        width=wish.box.width,
        interference=wish.box.interference,
        deadlines=(wish.deadline,),
        budget=wish.budget,
        thermal=Spell(0.0, 0.0),
        service=wish.cloud.seconds,
    )


def _uplink(wish: Wish, run_seconds: float) -> Uplink:
    if wish.link <= 0:
        return Uplink(steps=(Step(0.0, 0.0, wish.rtt),), rtt=wish.rtt, outage=(0.0, run_seconds + 3600.0))
    if wish.unsteady:
        return Uplink(rates=tuple(wish.link * share for share in WANDER), rtt=wish.rtt)
    return Uplink(steps=(Step(0.0, wish.link, wish.rtt),), rtt=wish.rtt)


def otherwise(wish: Wish) -> dict[str, Wish]:
    """What somebody who plans may change, one thing at a time; only what would be another plan."""
    faster = tuple(Size(each.name, each.seconds / 2, each.metric) for each in wish.box.sizes)
    changed = {
        "without the cloud": replace(wish, link=0.0, budget=0.0),
        "twice the link and budget": replace(wish, link=2 * wish.link, budget=2 * wish.budget),
        "a box twice as fast": replace(wish, box=replace(wish.box, sizes=faster)),
        "half of the cameras": replace(wish, cameras=max(1, wish.cameras // 2)),
        "half of the rate": replace(wish, rate=wish.rate / 2),
    }
    return {name: each for name, each in changed.items() if each != wish and (wish.link > 0 or "link" not in name)}
