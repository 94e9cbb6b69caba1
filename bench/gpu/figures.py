"""Numbers of a GPU bench: a cost line, what batching gains, which goals hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WORTH = 3.0  # batching is judged where t(8) < WORTH · t(1)
GAIN = 3.0  # times as many pictures a second as one by one
STREAMS = 0.8  # of the raw rate at the best batch
BUSY = 0.75  # of the time, the GPU at that many streams


@dataclass(frozen=True)
class Batches:
    """Median seconds of a batch, by its size; 1 is among them."""

    seconds: Mapping[int, float]

    def rate(self, size: int) -> float:
        """Pictures a second."""
        return size / self.seconds[size]

    @property
    def best(self) -> int:
        return max(self.seconds, key=self.rate)

    @property
    def gain(self) -> float:
        """Of the best batch over one picture at a time."""
        return self.rate(self.best) / self.rate(1)

    @property
    def pays(self) -> bool:
        """Is a batch of eight worth it, by the rule that makes it a goal?"""
        return 8 in self.seconds and self.seconds[8] < WORTH * self.seconds[1]

    @property
    def line(self) -> tuple[float, float]:
        """t(n) = a·n + b, by least squares over relative errors; a, b in seconds."""
        rows = [(size / took, 1 / took) for size, took in self.seconds.items()]
        xx, xy, yy = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
        x, y = sum(row[0] for row in rows), sum(row[1] for row in rows)
        whole = xx * yy - xy * xy
        if whole <= 1e-12 * xx * yy:
            return self.seconds[1], 0.0  # one size tells no line
        return (x * yy - y * xy) / whole, (y * xx - x * xy) / whole


@dataclass(frozen=True)
class Limit:
    """The most streams that came on time. `rate`: frames a second that did; `busy`: how long a GPU was, of 1."""

    streams: int
    rate: float
    on_time: float
    busy: float | None = None


@dataclass(frozen=True)
class Goal:
    """`got` is None where nothing could be measured, and `judged` is False where it is no goal here; `why` says it."""

    name: str
    wanted: float
    got: float | None
    judged: bool
    why: str = ""

    @property
    def missed(self) -> bool:
        return self.judged and (self.got is None or self.got < self.wanted)


def goals(provider: str, batches: Batches, limit: Limit | None) -> list[Goal]:
    """Goals are a GPU's; a CPU is measured for what it is."""
    on_gpu = provider != "cpu"
    why = "" if on_gpu else "measured on the CPU: no goal"
    worth = why or ("" if batches.pays else f"t(8) is not below {WORTH:g} t(1): no goal")
    share = limit.rate / batches.rate(batches.best) if limit else None
    busy = limit.busy if limit else None
    return [
        Goal(f"{provider}: batching", GAIN, batches.gain, on_gpu and batches.pays, worth),
        Goal(f"{provider}: streams of raw", STREAMS, share, on_gpu, why),
        Goal(f"{provider}: GPU busy", BUSY, busy, on_gpu, why),
    ]


def told(goal: Goal) -> str:
    """One line for a reader."""
    got = "not measured" if goal.got is None else f"{goal.got:.2f}"
    end = "missed" if goal.missed else "held" if goal.judged else goal.why
    return f"{goal.name:28} {got:>12}  of {goal.wanted:g}  {end}"


def next_count(held: int, broken: int | None) -> int | None:
    """How many streams to try next: half as many again until some come late, then between; None: the limit is found.

    `held`: the most that came on time so far, 0 for none; `broken`: the least that did not.
    """
    if broken is None:
        return max(held + 1, held * 3 // 2)
    middle = (held + broken) // 2
    return middle if middle > held and broken - held > max(1, held // 50) else None


def table(batches: Batches) -> Sequence[str]:
    """One row a batch."""
    rows = []
    for size, took in sorted(batches.seconds.items()):
        gain = batches.rate(size) / batches.rate(1)
        rows.append(f"  {size:4} {1e3 * took:9.3f} ms {batches.rate(size):10.1f} /s {gain:7.2f}x")
    return rows
