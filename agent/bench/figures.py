"""What a bench measured, and what follows from it. Pure; seconds stay seconds and shares stay shares.

A ratio is taken within a round and its median over the rounds: other work that comes and goes meets both sides of it.
1 is the limit; a little above it is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from agent.bench.capacity import Demand, Room, fastest, rooms
from agent.trial.tally import percentile

FEWEST_SECONDS = 0.3  # of a slice, below which there are fewer rounds
FILM_SHARE, MOST_FILM_SECONDS = 0.08, 3.0  # of the time, for decoding
MUCH = 0.1  # of the cores at other work: beyond it even ratios to raw lie, in either direction


@dataclass(frozen=True)
class Plan:
    """How the time is spent: a film, then for each variant so many rounds of four slices."""

    rounds: int
    slice_seconds: float
    film_seconds: float


def planned(seconds: float, variants: int) -> Plan:
    film = min(MOST_FILM_SECONDS, FILM_SHARE * seconds)
    share = (seconds - film) / (4 * max(1, variants))
    rounds = 5 if share / 5 >= FEWEST_SECONDS else 3
    return Plan(rounds, share / rounds, film)


@dataclass(frozen=True)
class Slice:
    """Calls made one way for a while: what each took, and what all took together."""

    calls: tuple[float, ...]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.calls) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Round:
    """Four slices, one after another."""

    raw_alone: Slice
    raw_many: Slice
    agent_alone: Slice
    agent_many: Slice


@dataclass(frozen=True)
class Way:
    """Medians over the rounds: of a call's median and p95, and of calls a second."""

    usual: float
    slow: float
    rate: float


@dataclass(frozen=True)
class Reached:
    """Of one variant. `in_flight` is the agent's at full load, where raw has a call on each of `width` threads."""

    variant: str
    rounds: int
    width: int
    in_flight: int
    raw_alone: Way
    raw_many: Way
    agent_alone: Way
    agent_many: Way
    of_alone: float  # raw's time over the agent's
    of_many: float  # the agent's rate over raw's


def reached(variant: str, width: int, in_flight: int, rounds: Sequence[Round]) -> Reached:
    """Of one round at least."""
    return Reached(
        variant,
        len(rounds),
        width,
        in_flight,
        _way([each.raw_alone for each in rounds]),
        _way([each.raw_many for each in rounds]),
        _way([each.agent_alone for each in rounds]),
        _way([each.agent_many for each in rounds]),
        median(_usual(each.raw_alone) / _usual(each.agent_alone) for each in rounds),
        median(each.agent_many.rate / each.raw_many.rate for each in rounds),
    )


def _usual(one: Slice) -> float:
    return percentile(one.calls, 0.5)


def _way(slices: Sequence[Slice]) -> Way:
    slow = median(percentile(each.calls, 0.95) for each in slices)
    return Way(median(map(_usual, slices)), slow, median(each.rate for each in slices))


@dataclass(frozen=True)
class Film:
    """What pictures of a stream cost a core: decoded, and fitted to the model's input. `rate`: of the stream."""

    what: str
    width: int
    height: int
    rate: float
    decode: tuple[float, ...]
    fit: tuple[float, ...]

    @property
    def mean_decode(self) -> float:
        return fmean(self.decode)

    @property
    def mean_fit(self) -> float:
        return fmean(self.fit)

    @property
    def slow(self) -> float:
        return percentile(self.decode, 0.95) + percentile(self.fit, 0.95)


@dataclass(frozen=True)
class Machine:
    """`others`: cores that worked at other things meanwhile."""

    cpu: str
    cores: int
    others: float = 0.0

    @property
    def is_busy(self) -> bool:
        return self.others > MUCH * self.cores


@dataclass(frozen=True)
class Bench:
    """All of it. `film` None: the release takes no pictures; `refused`: variants that do not run here, and why."""

    release: str
    task: str
    chosen: str  # the variant that a box runs
    machine: Machine
    seconds: float
    variants: tuple[Reached, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    film: Film | None = None
    stopped: bool = False

    @property
    def counts_cameras(self) -> bool:
        """Cameras show what finds boxes."""
        return self.task == "detection" and self.film is not None

    def demand(self, of: Reached) -> Demand:
        film = self.film
        assert film is not None
        return Demand(
            self.machine.cores,
            self.machine.cores / of.agent_many.rate,
            of.agent_alone.usual,
            of.agent_many.slow + film.slow,
            film.mean_decode,
            film.mean_fit,
            film.rate,
        )

    def rooms(self, of: Reached) -> list[Room]:
        return rooms(self.demand(of)) if self.counts_cameras else []


def document(bench: Bench) -> dict[str, Any]:
    """For programs."""
    machine = bench.machine
    return {
        "release": bench.release,
        "task": bench.task,
        "chosen": bench.chosen,
        "stopped": bench.stopped,
        "seconds": round(bench.seconds, 1),
        "machine": {
            "cpu": machine.cpu,
            "cores": machine.cores,
            "otherCores": round(machine.others, 2),
            "isBusy": machine.is_busy,
        },
        "variants": [_variant(bench, each) for each in bench.variants],
        "refused": dict(bench.refused),
        "film": _film(bench.film) if bench.film else None,
    }


def _variant(bench: Bench, of: Reached) -> dict[str, Any]:
    return {
        "name": of.variant,
        "rounds": of.rounds,
        "alone": {"raw": _told(of.raw_alone), "agent": _told(of.agent_alone), "ofRaw": round(of.of_alone, 4)},
        "atOnce": {
            "rawThreads": of.width,
            "inFlight": of.in_flight,
            "raw": _told(of.raw_many),
            "agent": _told(of.agent_many),
            "ofRaw": round(of.of_many, 4),
        },
        "cameras": [
            {
                "rate": each.rate,
                "cameras": each.cameras,
                "deadlineMs": each.deadline_ms,
                "decodingShare": round(each.decoding, 3),
            }
            for each in bench.rooms(of)
        ],
        "fastest": fastest(bench.demand(of)) if bench.counts_cameras else None,
    }


def _told(way: Way) -> dict[str, float]:
    return {
        "medianSeconds": round(way.usual, 7),
        "p95Seconds": round(way.slow, 7),
        "callsPerSecond": round(way.rate, 2),
    }


def _film(film: Film) -> dict[str, Any]:
    return {
        "source": film.what,
        "width": film.width,
        "height": film.height,
        "picturesPerSecond": round(film.rate, 2),
        "pictures": len(film.decode),
        "decodeSeconds": round(film.mean_decode, 7),
        "fitSeconds": round(film.mean_fit, 7),
        "slowSeconds": round(film.slow, 7),
    }
