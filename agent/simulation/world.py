"""One world: everything that a seed decides before anybody decides anything. Pure.

Rules that hold here:

- each kind of chance has a generator of its own, so that one more draw of one moves no other, and every contender meets
  the same frames, link, calls and answers, whatever it does;
- a frame has a hidden difficulty, like that of its camera's frame before. With it goes the chance that each way of
  answering is right; whether it is, is drawn once for each way. What a contender earns is that chance, so that luck is
  not measured;
- how sure an answer is of itself depends on that chance, with noise and too much trust in itself, and on nothing else:
  no contender can know more of a frame than its difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from agent.simulation import arrivals, links
from agent.simulation.contender import Known
from agent.simulation.links import Trace
from agent.simulation.scenario import Scenario

Numbers = npt.NDArray[np.float64]

STEEPNESS = 0.9  # of the chance over difficulty: its knowledge is then worth about what the design says it is
LIKE_THE_LAST = 0.9  # correlation of a frame's difficulty with its camera's last one
OVERCONFIDENT = (1.5, 0.9, 0.5)  # said log-odds = a · true + b + c · noise
KNOTS = 20
PACKET_BYTES = 1_400
UNIX_NS = 1_767_225_600 * 10**9  # when every run begins, by the wall clock

_STREAMS = ("arrivals", "difficulty", "right", "confidence", "calls", "round trips", "link", "loss", "slow")


@dataclass(frozen=True)
class World:
    """Row i is frame i, in order of arrival. Columns: of `chance`, `right` and `label` the sizes, then the pictures; of
    `confidence` and `times` the sizes."""

    scenario: Scenario
    seed: int
    captured: Numbers
    camera: npt.NDArray[np.int64]
    deadline: Numbers
    value: Numbers
    chance: Numbers
    right: npt.NDArray[np.bool_]
    confidence: Numbers
    times: Numbers  # of a call over the size's usual one, alone on a cool box
    jitter: Numbers  # chance part of the round trip, seconds
    luck: Numbers  # of its packets, 0 to 1
    trace: Trace

    @property
    def frames(self) -> int:
        return len(self.captured)

    def lost(self, number: int, nbytes: int, share: float) -> int:
        """Packets of this frame's picture that are lost once."""
        return round(share * nbytes / PACKET_BYTES + float(self.luck[number]) - 0.5)

    def slowness(self, now: float) -> float:
        """Of the box."""
        spell = self.scenario.thermal
        return spell.factor if spell.since <= now < spell.until else 1.0

    def service(self, now: float) -> float:
        """Seconds that the cloud takes."""
        spell = self.scenario.brownout
        return self.scenario.service + (spell.extra if spell.since <= now < spell.until else 0.0)

    def unix_ns(self, now: float) -> int:
        jumps = sum(by for at, by in self.scenario.clock_steps if at <= now)
        return UNIX_NS + int((now + jumps) * 1e9)


def draw(scenario: Scenario, seed: int) -> World:
    streams = np.random.SeedSequence([seed, 7]).spawn(len(_STREAMS))
    rng = dict(zip(_STREAMS, map(np.random.default_rng, streams), strict=True))
    came = arrivals.drawn(scenario.arrivals, scenario.seconds, rng["arrivals"])
    captured, camera = np.array([at for at, _ in came]), np.array([who for _, who in came], dtype=np.int64)
    chance = _chances(scenario, _difficulty(camera, rng["difficulty"]))
    many, sizes = len(captured), len(scenario.sizes)
    return World(
        scenario=scenario,
        seed=seed,
        captured=captured,
        camera=camera,
        deadline=captured + np.array(scenario.deadlines)[camera % len(scenario.deadlines)],
        value=np.ones(many),
        chance=chance,
        right=rng["right"].random((many, 1)) < chance,
        confidence=_said(chance[:, :sizes], rng["confidence"]),
        times=_times(scenario, rng["calls"].normal(size=(many, sizes)), rng["slow"].random((many, sizes))),
        jitter=rng["round trips"].exponential(scenario.uplink.jitter, many),
        luck=rng["loss"].random(many),
        trace=links.drawn(scenario.uplink, scenario.seconds, rng["link"]),
    )


def known(scenario: Scenario) -> Known:
    """What the release and the operator say of it: drift is in none of it."""
    return Known(
        cameras=scenario.arrivals.cameras,
        sizes=scenario.sizes,
        pictures=scenario.pictures,
        confidence=_calibration(scenario.sizes[0].metric),
        width=scenario.width,
        deadline=scenario.deadlines[0] if len(scenario.deadlines) == 1 else float(np.median(scenario.deadlines)),
        budget=scenario.budget,
        cloud_allowed=True,
        rate=scenario.arrivals.rate,
        floor=scenario.floor,
    )


def _difficulty(camera: npt.NDArray[np.int64], rng: np.random.Generator) -> Numbers:
    """Standard normal for each frame, by itself; along a camera it wanders."""
    fresh = rng.normal(size=len(camera))
    last: dict[int, float] = {}
    keep, renew = LIKE_THE_LAST, (1 - LIKE_THE_LAST**2) ** 0.5
    for place, who in enumerate(camera.tolist()):
        if who in last:
            fresh[place] = keep * last[who] + renew * fresh[place]
        last[who] = float(fresh[place])
    return fresh


def _chances(scenario: Scenario, difficulty: Numbers) -> Numbers:
    metrics = [size.metric - scenario.drift for size in scenario.sizes]
    metrics += [picture.metric for picture in scenario.pictures]
    return _sigmoid(STEEPNESS * (np.array([_ease(metric) for metric in metrics]) - difficulty[:, None]))


@cache
def _ease(metric: float) -> float:
    """At which difficulty even odds lie, where this share of all frames is answered right."""
    points, weights = np.polynomial.hermite_e.hermegauss(61)
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        share = float(weights @ _sigmoid(STEEPNESS * (middle - points)) / weights.sum())
        low, high = (middle, high) if share < metric else (low, middle)
    return (low + high) / 2


def _said(chance: Numbers, rng: np.random.Generator) -> Numbers:
    slope, lift, noise = OVERCONFIDENT
    odds = np.log(chance / (1 - chance))
    return np.clip(_sigmoid(slope * odds + lift + noise * rng.normal(size=chance.shape)), 0.001, 0.999)


@cache
def _calibration(metric: float) -> tuple[tuple[float, float], ...]:
    """As packaging measures it, on frames of its own."""
    rng = np.random.default_rng(0)
    chance = _sigmoid(STEEPNESS * (_ease(metric) - rng.normal(size=(4000, 1))))
    said = _said(chance, rng)
    order = np.argsort(said[:, 0])
    parts = np.array_split(order, KNOTS)
    rising = np.maximum.accumulate([float(chance[part].mean()) for part in parts])
    return tuple((float(said[part].mean()), float(share)) for part, share in zip(parts, rising, strict=True))


def _times(scenario: Scenario, normal: Numbers, luck: Numbers) -> Numbers:
    usual = np.exp(scenario.noise * normal - scenario.noise**2 / 2)
    return np.where(luck < scenario.slow_share, scenario.slow_factor * usual, usual)


def _sigmoid(x: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-x))
