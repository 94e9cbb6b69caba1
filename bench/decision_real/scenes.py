"""What happens in a window: scenarios of `bench.decision`, a few seconds long, at the speed of the box at hand.

Trouble ends well before the breaker looks again. Else all hangs on one picture that meets what is left of it: the bytes
of calls that were given up, which still pass a real link, and which the simulator forgets.

The good link is clearly one on which a lane has four pictures under way: where a picture takes just as long as decides
that (`cloud_side.FAST_SECONDS`), small differences between the two worlds become large ones.

A load is what 16 cameras offer over what the engine can do while the rest of the box wants its core too.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.simulation.contender import Picture, Size
from agent.simulation.scenario import MEGABIT, Arrivals, Scenario, Spell, Step, Uplink

CAMERAS = 16
DEADLINE = 0.250
CLOUD_METRIC = 0.95  # share of right answers that the release promises of the node; it is always right
SERVICE = 0.020  # seconds of the node, as in the calibration scenario
RATE, RTT = 6 * MEGABIT, 0.030  # as the good link of `bench.decision`
GOOD = (Step(0.0, RATE, RTT),)
_STEPS = 10


@dataclass(frozen=True)
class Scene:
    """`trouble`: share of the window in which the way up is cut or the node is slow."""

    name: str
    says: str
    load: float
    trouble: tuple[float, float] = (0.0, 0.0)
    kind: str = ""  # of that: fade, cut, slow

    def during(self, seconds: float) -> tuple[float, float]:
        return self.trouble[0] * seconds, self.trouble[1] * seconds


CALM = Scene("calm", "half of what the box can", 0.5)
OVERLOAD = Scene("overload", "twice what the box can", 2.0)
CUT = Scene("cut", "twice, and nothing passes the link for a while", 2.0, (0.2, 0.5), "cut")
SCENES = (
    CALM,
    OVERLOAD,
    Scene("fade", "twice, and the link fades to 0.1 Mbit/s and comes back", 2.0, (0.1, 0.9), "fade"),
    CUT,
    Scene("brown-out", "twice, and the node takes 500 ms more for a while", 2.0, (0.2, 0.5), "slow"),
)


@dataclass(frozen=True)
class BoxFacts:
    """Of the box at hand. `full`: usual seconds of the engine's calls where it always has one; `local`: share that it
    answers right; `nbytes`: of a usual picture."""

    full: float
    local: float
    nbytes: int


def scenario(scene: Scene, seconds: float, box: BoxFacts, call: float) -> Scenario:
    """`call`: usual seconds of the engine's calls at this load."""
    since, until = scene.during(seconds)
    steps = _fade(since, until) if scene.kind == "fade" else GOOD
    spell = Spell(since, until, extra=0.5) if scene.kind == "slow" else Spell(0.0, 0.0)
    return Scenario(
        scene.name,
        scene.says,
        seconds=seconds,
        arrivals=Arrivals("steady", cameras=CAMERAS, rate=scene.load / box.full / CAMERAS),
        uplink=Uplink(steps=steps, jitter=0.0, outage=(since, until) if scene.kind == "cut" else (0.0, 0.0)),
        sizes=(Size("", call, box.local),),
        pictures=(Picture(80, 640, box.nbytes, CLOUD_METRIC),),
        deadlines=(DEADLINE,),
        slow_share=0.0,
        noise=0.0,
        thermal=Spell(0.0, 0.0),
        brownout=spell,
        service=SERVICE,
    )


def _fade(since: float, until: float) -> tuple[Step, ...]:
    """From 6 Mbit/s to 0.1 in the middle, and back."""
    middle = _STEPS / 2
    depth = [1 - abs(k - middle) / middle for k in range(_STEPS + 1)]
    steps = [
        Step(since + (until - since) * k / _STEPS, RATE * (0.1e6 / RATE) ** share, RTT) for k, share in enumerate(depth)
    ]
    return (*GOOD, *steps)
