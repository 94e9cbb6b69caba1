"""How long to wait before the next try. Pure: values in, seconds out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Doubles from `first` to `longest`, spread by ±20 % so that boxes felled together do not return together."""

    first: float = 1.0  # seconds
    longest: float = 60.0  # seconds
    rng: random.Random = field(default_factory=random.Random)
    _failures: int = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure; `at_least` when the other side said so."""
        delay = min(self.longest, self.first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return max(delay * self.rng.uniform(0.8, 1.2), at_least or 0.0)

    def reset(self) -> None:
        self._failures = 0
