"""What happens to a box: every scenario is the calibration scenario of the design with a few things changed.

Times are seconds from the start, rates bits a second. A scenario holds no chance: `world` draws it, from a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bench.decision.contender import Picture, Size

MEGABIT = 1e6
SECONDS = 300.0

SIZES = (Size("small", 0.012, 0.61), Size("medium", 0.030, 0.76))
WHOLE_PICTURE = Picture(80, 640, 28_000, 0.92)
PICTURES = (
    WHOLE_PICTURE,
    Picture(60, 640, 19_000, 0.90),
    Picture(60, 480, 12_000, 0.85),
    Picture(40, 320, 6_000, 0.74),
)


@dataclass(frozen=True)
class Arrivals:
    """`kind`: "rush" (on/off, correlated), "steady", "onoff" (on/off, each for itself), "storm" (all cut off, then back
    at once)."""

    kind: str = "rush"
    cameras: int = 8
    rate: float = 10.0  # frames a second of a camera that is on
    calm_on: float = 0.48  # share of its time that a camera is on outside of a rush
    calm: float = 20.0  # mean length of the time between rushes
    rush: float = 6.0  # mean length of a rush, in which all cameras are on
    on: float = 4.0  # mean length of a camera's time on, outside of a rush
    storm_every: float = 60.0
    storm_seconds: float = 3.0  # without any frame
    storm_frames: int = 5  # of each camera at once, when it is back


@dataclass(frozen=True)
class Step:
    """The link from `at` on."""

    at: float
    rate: float
    rtt: float = 0.030  # the least; the chance part comes on top
    loss: float = 0.0  # of packets


@dataclass(frozen=True)
class Uplink:
    """`steps` empty: a random walk over `rates`, `dwell` seconds in each on average."""

    rates: tuple[float, ...] = (0.1e6, 1e6, 2.5e6, 4.5e6, 6.5e6, 8e6)
    dwell: float = 4.0
    rtt: float = 0.030
    jitter: float = 0.010  # mean of the exponential part of the round trip
    steps: tuple[Step, ...] = ()
    outage: tuple[float, float] = (0.0, 0.0)  # nothing passes between these


@dataclass(frozen=True)
class Spell:
    """A time in which something is slower: `factor` times for the box, `extra` seconds for the cloud."""

    since: float
    until: float
    factor: float = 1.0
    extra: float = 0.0


@dataclass(frozen=True)
class Scenario:
    name: str
    says: str
    seconds: float = SECONDS
    arrivals: Arrivals = field(default_factory=Arrivals)
    uplink: Uplink = field(default_factory=Uplink)
    sizes: tuple[Size, ...] = SIZES
    pictures: tuple[Picture, ...] = (WHOLE_PICTURE,)
    width: int = 1  # calls at once
    interference: float = 1.0  # times that a call takes where another runs beside it
    deadlines: tuple[float, ...] = (0.250,)  # of the cameras in turn
    budget: float = 1.5 * MEGABIT
    slow_share: float = 0.01  # of calls
    slow_factor: float = 3.0
    noise: float = 0.05  # spread of a call's time, log-normal
    thermal: Spell = field(default_factory=lambda: Spell(150.0, 180.0, factor=1.5))
    brownout: Spell = field(default_factory=lambda: Spell(0.0, 0.0))
    service: float = 0.020  # of the cloud
    drift: float = 0.0  # that the sizes on the box do worse than their release says
    clock_steps: tuple[tuple[float, float], ...] = ()  # at, by how many seconds the wall clock jumps


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
