"""How frames ended, as the watched agent tells it, and what follows from that. Pure but for `read`."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from protos.outcomes import IN_TIME

ANSWERED = frozenset(str(outcome) for outcome in IN_TIME)


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """One frame, or `frames` that a newer one replaced before they were announced. Times are monotonic seconds."""

    camera: str
    deployment: str
    outcome: str
    captured: float
    came: float  # when the agent's main process heard of it
    ended: float  # when all was done that the agent does with it
    stages: dict[str, float] = {}
    release: str = ""
    frames: int = 1

    @property
    def tap(self) -> tuple[str, str]:
        return self.camera, self.deployment

    @property
    def overhead(self) -> float:
        """Seconds beside decoding, waiting for the engine and the model: its way to the agent, to the engine and back.

        `queue` counts from capture until the engine is asked; of it, what passed since the frame came is the wait.
        """
        away = self.ended - self.captured - self.stages["queue"] - self.stages["infer"]
        return self.to_agent + away

    @property
    def to_agent(self) -> float:
        """None where decoding took longer than what passed: a film's pictures are decoded before their moment."""
        return max(0.0, self.came - self.captured - self.stages["decode"])

    @property
    def engine_wait(self) -> float:
        return self.captured + self.stages["queue"] - self.came


class Reader:
    """What was written since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._decoder = msgspec.json.Decoder(Seen)

    def new(self) -> list[Seen]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._at)
            content = log.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._at += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]


def outcomes(seen: Iterable[Seen]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for each in seen:
        counted[each.outcome] += each.frames
    return dict(sorted(counted.items()))


def gaps(seen: Iterable[Seen]) -> list[float]:
    """Seconds between answers in time that follow each other, of all taps together."""
    return list(itertools.chain.from_iterable(_gaps(times) for times in answers(seen).values()))


def answers(seen: Iterable[Seen]) -> dict[tuple[str, str], list[float]]:
    """When each tap was answered in time."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for each in seen:
        if each.outcome in ANSWERED:
            found[each.tap].append(each.ended)
    return dict(found)


def _gaps(times: Sequence[float]) -> Iterator[float]:
    return (after - before for before, after in itertools.pairwise(times))
