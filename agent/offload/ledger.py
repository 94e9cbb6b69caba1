"""What was spent within the last day, to the quarter of an hour: for people. Pure; a restart begins anew."""

from __future__ import annotations

from collections import deque

from agent.offload.terms import SECONDS_A_DAY

GRAIN = 900.0  # seconds that are summed up together


class Ledger:
    """Of one thing that is spent. All times are monotonic seconds, and never go back."""

    def __init__(self) -> None:
        self._sums: deque[list[float]] = deque()  # [since when, sum]

    def paid(self, amount: float, now: float) -> None:
        """So much more; below zero where less was needed than was thought."""
        if not amount:
            return
        since = now // GRAIN * GRAIN
        if self._sums and self._sums[-1][0] == since:
            self._sums[-1][1] += amount
        else:
            self._sums.append([since, amount])

    def within_day(self, now: float) -> float:
        """The sum of the day that ends now; never below zero."""
        while self._sums and self._sums[0][0] <= now - SECONDS_A_DAY:
            self._sums.popleft()
        return max(0.0, sum(amount for _, amount in self._sums))
