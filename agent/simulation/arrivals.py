"""When which camera has a frame: drawn from a seed, the same for everyone. Pure.

A camera that is on has a frame every 1/rate seconds, each up to a tenth of that late, from a phase of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agent.simulation.scenario import Arrivals

JITTER = 0.1  # of the time between frames
Spans = list[tuple[float, float]]
Came = tuple[float, int]  # when, camera


def drawn(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> list[Came]:
    """In order of time."""
    came = KINDS[arrivals.kind](arrivals, seconds, rng)
    return sorted(each for each in came if each[0] < seconds)


def _steady(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> list[Came]:
    return _during([[(0.0, seconds)]] * arrivals.cameras, arrivals.rate, rng)


def _onoff(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> list[Came]:
    return _during([_on(arrivals, seconds, rng) for _ in range(arrivals.cameras)], arrivals.rate, rng)


def _rush(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> list[Came]:
    """On and off, but for the rushes: then all are on."""
    rushes = _alternating(seconds, arrivals.calm, arrivals.rush, rng)
    spans = [_joined([*_on(arrivals, seconds, rng), *rushes]) for _ in range(arrivals.cameras)]
    return _during(spans, arrivals.rate, rng)


def _storm(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> list[Came]:
    """As a rush, but all cameras are lost now and then, and come back at once with what they had kept."""
    away = [
        (at, at + arrivals.storm_seconds)
        for at in np.arange(arrivals.storm_every, seconds, arrivals.storm_every).tolist()
    ]
    came = [each for each in _rush(arrivals, seconds, rng) if not any(a <= each[0] < b for a, b in away)]
    back = [(until, camera) for _, until in away for camera in range(arrivals.cameras)]
    return [*came, *(each for each in back for _ in range(arrivals.storm_frames))]


KINDS: dict[str, Callable[[Arrivals, float, np.random.Generator], list[Came]]] = {
    "steady": _steady,
    "onoff": _onoff,
    "rush": _rush,
    "storm": _storm,
}


def _on(arrivals: Arrivals, seconds: float, rng: np.random.Generator) -> Spans:
    off = arrivals.on * (1 / arrivals.calm_on - 1)
    return _alternating(seconds, off, arrivals.on, rng)


def _alternating(seconds: float, off: float, on: float, rng: np.random.Generator) -> Spans:
    """Times on, of these mean lengths; it begins on as often as it is on later."""
    spans, at = [], 0.0
    is_on = bool(rng.random() < on / (on + off))
    while at < seconds:
        length = float(rng.exponential(on if is_on else off))
        if is_on:
            spans.append((at, min(seconds, at + length)))
        at, is_on = at + length, not is_on
    return spans


def _joined(spans: Spans) -> Spans:
    joined: Spans = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((since, until))
    return joined


def _during(spans: list[Spans], rate: float, rng: np.random.Generator) -> list[Came]:
    came: list[Came] = []
    for camera, on in enumerate(spans):
        phase = float(rng.random()) / rate
        for since, until in on:
            first = np.ceil((since - phase) * rate)
            ticks = phase + np.arange(first, (until - phase) * rate) / rate
            late = rng.random(len(ticks)) * JITTER / rate
            came += [(float(at), camera) for at in ticks + late]
    return came
