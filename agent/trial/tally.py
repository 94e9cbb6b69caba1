"""What a trial counts: things seen, and where the time went. Pure; tables and a document come out.

`found` counts boxes over all pictures: the same boat in ten pictures is ten. Times are per picture: `decode` with
fitting to the model's input, `inference` as the engine worker measured it, `draw` with encoding the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.types import Box

STAGES = ("decode", "inference", "draw")


@dataclass
class Found:
    """Of one class."""

    found: int = 0
    pictures: int = 0
    best: float = 0.0


@dataclass
class Tally:
    """Filled picture by picture."""

    pictures: int = 0
    seconds: float = 0.0  # from the first picture asked for to the last one written
    classes: dict[str, Found] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    def add(self, boxes: Iterable[Box], times: Mapping[str, float]) -> None:
        self.pictures += 1
        here = set()
        for box in boxes:
            seen = self.classes.setdefault(box.label, Found())
            seen.found += 1
            seen.best = max(seen.best, box.score)
            here.add(box.label)
        for label in here:
            self.classes[label].pictures += 1
        for stage, seconds in times.items():
            self.times[stage].append(seconds)

    @property
    def rate(self) -> float:
        return self.pictures / self.seconds if self.seconds > 0 else 0.0

    def document(self) -> dict[str, Any]:
        """For programs: seconds stay seconds, shares stay shares."""
        by_count = sorted(self.classes.items(), key=lambda item: -item[1].found)
        return {
            "pictures": self.pictures,
            "seconds": round(self.seconds, 3),
            "picturesPerSecond": round(self.rate, 2),
            "classes": {label: vars(seen) for label, seen in by_count},
            "stages": {
                stage: {
                    "medianSeconds": round(percentile(times, 0.5), 6),
                    "p95Seconds": round(percentile(times, 0.95), 6),
                }
                for stage, times in self.times.items()
                if times
            },
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def text(tally: Tally, min_score: float) -> str:
    """Two tables, as people read them."""
    rows = sorted(tally.classes.items(), key=lambda item: -item[1].found)
    seen = [(label, str(each.found), str(each.pictures), f"{each.best:.2f}") for label, each in rows]
    stages = [
        (stage, f"{percentile(times, 0.5) * 1000:.1f} ms", f"{percentile(times, 0.95) * 1000:.1f} ms")
        for stage, times in tally.times.items()
        if times
    ]
    what = (
        table(("CLASS", "FOUND", "PICTURES", "BEST"), seen)
        if seen
        else f"nothing with a score of {min_score:g} or more"
    )
    return f"{what}\n\n{table(('STAGE', 'MEDIAN', 'P95'), stages)}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain columns, two spaces between."""
    widths = [max(len(line[column]) for line in (titles, *rows)) for column in range(len(titles))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (titles, *rows))
    return "\n".join(line.rstrip() for line in lines)
