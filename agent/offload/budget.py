"""What the box may send up: a token bucket in bits, filled at the deployment's uplink budget.

The bucket holds two seconds' worth, so that a burst passes and the mean over any longer time stays within the budget.
"""

from __future__ import annotations

from dataclasses import dataclass

BURST_SECONDS = 2.0


@dataclass
class UplinkBudget:
    bits_per_second: float
    _bits: float = 0.0
    _at: float = float("-inf")

    def allows(self, bits: float, now: float) -> bool:
        """Could `bits` be sent now?"""
        self._fill(now)
        return self._bits >= bits

    def spend(self, bits: float, now: float) -> None:
        """Bits that were sent; may leave a debt, when a picture turned out larger than expected."""
        self._fill(now)
        self._bits -= bits

    def _fill(self, now: float) -> None:
        if self._at == float("-inf"):
            self._bits = self.bits_per_second * BURST_SECONDS
        else:
            self._bits = min(self.bits_per_second * BURST_SECONDS, self._bits + (now - self._at) * self.bits_per_second)
        self._at = now
