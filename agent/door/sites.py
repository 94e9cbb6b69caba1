"""A fair share of the engine for each site: token buckets that fill each other. Pure.

Each site that asked within the last second has a bucket of seconds of the server. What the engine has done fills them,
each alike, so that however fast it really is no more is promised; what a full one has no room for goes to the others,
so that shares are max-min fair and nothing is lost to those that ask for little. A debt is as bounded as a bucket: what
was idle may be used freely, and is not held against anybody later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

KEPT = 0.97  # of what was done: a little less, so that lines get shorter, not longer
BURST = 0.25  # seconds of the server that a bucket holds, and the largest debt
ACTIVE_SECONDS = 1.0
FILL_SECONDS = 0.01  # between fillings, at least
MOST = 256  # sites remembered; the one that asked longest ago is forgotten first


class Bucket(msgspec.Struct):
    """Of one site: seconds of the server, negative for a debt; when it asked last."""

    credit: float
    asked_at: float


class Sites:
    def __init__(self) -> None:
        self.only: str | None = None  # the one that asks, where no other does
        self.done = BURST  # seconds of the server worked since the last filling; whoever works adds to it
        self._buckets: dict[str, Bucket] = {}  # the one that asked last is last
        self._filled_at = float("-inf")

    def __iter__(self) -> Iterator[str]:
        """Those that are remembered."""
        return iter(self._buckets)

    def asked(self, site: str, now: float) -> None:
        """It asks for something."""
        bucket = self._buckets.pop(site, None) or Bucket(0.0, now)
        bucket.asked_at = now
        self._buckets[site] = bucket
        if len(self._buckets) > MOST:
            del self._buckets[next(iter(self._buckets))]
        if site != self.only:
            self.only = None  # until the next filling has looked who still asks
        self._fill(now)

    def in_credit(self, site: str) -> bool:
        """May it have something that others want as well? Where it asks alone always."""
        bucket = self._buckets.get(site)
        return self.only == site or bucket is None or bucket.credit >= 0.0

    def spend(self, site: str, seconds: float) -> None:
        """Something worth so much was given to it; negative: it gave it back."""
        bucket = self._buckets.get(site)
        if bucket is not None:
            bucket.credit = min(BURST, max(-BURST, bucket.credit - seconds))

    def _fill(self, now: float) -> None:
        if now - self._filled_at < FILL_SECONDS:
            return
        self._filled_at = now
        active = {site: each for site, each in self._buckets.items() if now - each.asked_at <= ACTIVE_SECONDS}
        self.only = next(iter(active)) if len(active) == 1 else None
        pour(active.values(), KEPT * self.done)
        self.done = 0.0


def pour(buckets: Iterable[Bucket], seconds: float) -> None:
    """Share out alike what fits; what is left when all are full is lost."""
    thirsty = [each for each in buckets if each.credit < BURST]
    while thirsty and seconds > 1e-9:
        each_gets = seconds / len(thirsty)
        for bucket in thirsty:
            given = min(each_gets, BURST - bucket.credit)
            bucket.credit += given
            seconds -= given
        thirsty = [each for each in thirsty if BURST - each.credit > 1e-9]
