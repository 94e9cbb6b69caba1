"""What happens to a box, without any chance: `world` draws it, from a seed. Pure values.

Times are seconds from the start, rates bits a second. The defaults are the calibration scenario of the design: eight
cameras, a small and a medium model, one call at a time, a link that wanders, and a budget of 1.5 Mbit/s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.simulation.contender import Picture, Size

MEGABIT = 1e6
SECONDS = 300.0

SIZES = (Size("small", 0.012, 0.61), Size("medium", 0.030, 0.76))
WHOLE_PICTURE = Picture(80, 640, 28_000, 0.92)


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
    floor: float | None = None  # frames a second that cameras may be lowered to; None: none is lowered
    clock_steps: tuple[tuple[float, float], ...] = ()  # at, by how many seconds the wall clock jumps
