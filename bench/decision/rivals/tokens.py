"""A token bucket in bits, as the baselines that keep to a budget have it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TokenBucket:
    """Filled at `rate` bits a second up to `depth` bits; full at first."""

    rate: float
    depth: float
    _bits: float = -1.0
    _at: float = 0.0

    def level(self, now: float) -> float:
        """Share of the bucket that is filled, 0 to 1; below 0 after a picture that was larger than thought."""
        if self._bits < 0 and self._at == 0.0:
            self._bits = self.depth
        else:
            self._bits = min(self.depth, self._bits + (now - self._at) * self.rate)
        self._at = now
        return self._bits / self.depth

    def allows(self, bits: float, now: float) -> bool:
        return self.level(now) * self.depth >= bits

    def spend(self, bits: float, now: float) -> None:
        self.level(now)
        self._bits -= bits
