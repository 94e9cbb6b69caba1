"""The worlds that the bench asks: the calibration scenario of the design, and each a few things changed.

What a scenario is made of is `agent.simulation.scenario`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.simulation.contender import Picture
from agent.simulation.scenario import MEGABIT, SIZES, WHOLE_PICTURE, Arrivals, Scenario, Spell, Step, Uplink

PICTURES = (
    WHOLE_PICTURE,
    Picture(60, 640, 19_000, 0.90),
    Picture(60, 480, 12_000, 0.85),
    Picture(40, 320, 6_000, 0.74),
)

CALIBRATION = Scenario("calibration", "medium is offered 1.5 times what the box can, 2.4 times at the peak")


def _of(name: str, says: str, **changes: Any) -> Scenario:
    return replace(CALIBRATION, name=name, says=says, **changes)


def _steady(name: str, times: float) -> Scenario:
    rate = times / SIZES[-1].seconds / 8
    return _of(name, f"{times:g} times what medium can, evenly", arrivals=Arrivals("steady", rate=rate))


# Steps shaped like what moving receivers see of 4G and 5G: rate (Mbit/s), round trip and loss change together. They are
# made, not recorded.
_CELLS = (
    *((4.0, 0.045, 0.002), (9.0, 0.035, 0.0), (14.0, 0.030, 0.0), (6.0, 0.040, 0.001), (2.0, 0.060, 0.005)),
    *((0.7, 0.090, 0.010), (0.25, 0.140, 0.020), (1.2, 0.080, 0.010), (3.0, 0.055, 0.004), (20.0, 0.018, 0.0)),
    *((35.0, 0.015, 0.0), (28.0, 0.016, 0.001), (0.0, 0.200, 0.050), (1.0, 0.110, 0.015), (8.0, 0.040, 0.001)),
)
_MOBILE = tuple(
    Step(lap * 60.0 + 4.0 * place, rate * MEGABIT, rtt, loss)
    for lap in range(10)
    for place, (rate, rtt, loss) in enumerate(_CELLS)
)
_FADE = tuple(Step(5.0 * k, 8e6 * 0.0125 ** (1 - abs(k - 15) / 15)) for k in range(31))  # 8 → 0.1 → 8 over 150 s
_FLAPS = tuple(Step(5.0 * k, 0.0 if k % 2 else 8e6) for k in range(80))  # nothing passes, and nobody says so
_GOOD = (Step(0.0, 6e6),)


def _scenarios() -> list[Scenario]:
    return [
        CALIBRATION,
        _of("capped", "calibration with 0.915 Mbit/s to spend", budget=0.915 * MEGABIT),
        _steady("steady-0.7", 0.7),
        _of("burst-1.5", "short hard rushes", arrivals=Arrivals(calm_on=0.42, calm=6.0, rush=2.0, on=1.5)),
        _steady("overload-2", 2.0),
        _steady("overload-4", 4.0),
        _of("storm", "all cameras away for 3 s each minute, then back at once", arrivals=Arrivals("storm")),
        _of("onoff", "each camera on and off for itself", arrivals=Arrivals("onoff", calm_on=0.6)),
        _of("mobile", "a link like 4G and 5G on the move", uplink=Uplink(steps=_MOBILE)),
        _of("fade", "the link fades to 0.1 Mbit/s and comes back", uplink=Uplink(steps=_FADE)),
        _of("outage", "the link is dead for a minute", uplink=Uplink(steps=_GOOD, outage=(120.0, 180.0))),
        _of("flaps", "the cloud falls silent for 5 s of every 10, with frames under way", uplink=Uplink(steps=_FLAPS)),
        _of("brownout", "the cloud takes 500 ms more", brownout=Spell(100.0, 200.0, extra=0.5)),
        _of("cut-off", "the link is dead all the time", uplink=Uplink(outage=(0.0, 1e9))),
        _of("thermal", "the box is 1.5 times slower", thermal=Spell(90.0, 210.0, factor=1.5)),
        _of("mixed", "deadlines of 100, 250 and 1000 ms", deadlines=(0.1, 0.25, 1.0)),
        _of("drift", "on the box 0.2 fewer are right than the release says", drift=0.2),
        _of("clock", "the wall clock jumps back, then ahead", clock_steps=((100.0, -3600.0), (200.0, 86400.0))),
        _of("pictures", "four ways to encode a picture", pictures=PICTURES),
        _of("cameras-16", "16 cameras, twice what small can", arrivals=Arrivals("steady", cameras=16)),
        _of("two-slots", "two calls at once, each then 1.3 times as long, 14 cameras", width=2, interference=1.3,
           arrivals=Arrivals(cameras=14)),
    ]  # fmt: skip


SCENARIOS: dict[str, Scenario] = {each.name: each for each in _scenarios()}

# Cameras give all that they are asked for in the scenarios above. Here they may be lowered; see tests/unit/bench.
BEYOND = _of("beyond", "16 cameras of 15 frames/s, three times what small can, that may be lowered to 2", floor=2.0,
    arrivals=Arrivals("steady", cameras=16, rate=15.0))  # fmt: skip
