"""What a call of n frames costs on this box, learned: t(n) = a·n + b seconds, and what may be planned with it. Pure.

One line for each loaded release, provider and layout; a swap begins another, from what was measured while warming.
Rules that hold here:

- The line is fitted to the last 64 calls at most every 5 s, by least squares over the median of each n, so that a call
  the machine held up bends nothing. The line before has the weight of a few calls in it, at the level of the others:
  where all of them had one n, they say nothing of its shape. The first is what was measured while warming.
- Between fits a slowness φ follows the calls. One call, however long, raises it by a tenth at most.
- What is planned is what 95 of 100 calls keep, by how the last 64 compared with what was expected of them.
- Three calls in a row far beyond that, or far below what was expected, are no noise: the box has become another one
  (throttled, crowded, free again). Their level holds, with the shape of the first line, and what was learned goes.

Sources: the line fitted to recent calls is BentoML's dispatcher's; planning by a quantile of the ratio of taken to
expected is split conformal prediction (Vovk et al., 2005) over a sliding window.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

KEPT = 0.95  # share of calls that take no longer than planned
CAREFUL = 1.5  # times the expected, until enough calls were seen to know the one in twenty
FIT_SECONDS = 5.0  # at least, between fits
GAIN = 0.1  # of φ
MOST_RATIO = 2.0  # of one call, as far as φ goes
FASTER = 0.7  # times the expected, or less: no noise, when it comes again and again
SLOWER = 1.4  # and so is this, or more
IN_A_ROW = 3  # calls that make the box another one
SPREAD = 2.0  # times what a call took: planned more than that, it is better known soon
PAYS = 0.9  # of the cost of a frame alone: what a frame in a batch must cost less than
LEAST_SECONDS = 1e-5
_WINDOW = 64  # calls looked at
_JUDGED = 256  # plans looked at

Point = tuple[int, float]  # frames in a call, and its seconds


@dataclass
class CostLine:
    """Seconds. `profile`: calls as measured while warming, or one careful guess; from a frame alone to the most."""

    profile: Sequence[Point]
    slowness: float = 1.0  # φ
    last_at: float = float("-inf")  # monotonic seconds of the newest call
    _warm: tuple[float, float] = (0.0, 0.0)  # a and b of the profile
    _now: tuple[float, float] = (0.0, 0.0)  # a and b of the last fit
    _calls: deque[Point] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _ratios: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))  # taken / expected, before φ moved
    _kept: deque[bool] = field(default_factory=lambda: deque(maxlen=_JUDGED))
    _margin: float = CAREFUL
    _newest: float = 1.0  # ratio
    _fitted_at: float = float("-inf")
    _beyond: int = 0  # calls in a row that took far longer than expected or planned
    _below: int = 0  # calls in a row that were far faster than expected

    def __post_init__(self) -> None:
        self._warm = self._now = fitted([(n, seconds, 1) for n, seconds in self.profile])

    # ---- questions ----

    @property
    def most(self) -> int:
        """Frames that a call may hold: no more than were measured together."""
        return self.profile[-1][0]

    def line(self, n: int) -> float:
        """t(n) as of the last fit."""
        return _at(self._now, n)

    @property
    def per_frame(self) -> float:
        """φ·a: seconds that a further frame in a call costs now."""
        return self.slowness * self._now[0]

    @property
    def per_call(self) -> float:
        """φ·b: seconds that a call costs now, however many frames are in it."""
        return self.slowness * self._now[1]

    def expected(self, n: int = 1) -> float:
        """What a call of `n` frames takes now: for ordering."""
        return self.slowness * self.line(n)

    def planned(self, n: int = 1) -> float:
        """What 95 of 100 calls of `n` frames keep: for admission."""
        return self.expected(n) * self._margin

    def pays(self, n: int) -> bool:
        """Does a frame cost clearly less in a call of `n` than in one of its own?"""
        frame, call = self._now
        return n > 1 and frame + call / n < PAYS * (frame + call)

    @property
    def improving(self) -> bool:
        """The newest call was far below what was expected, or is planned: worth asking again at once.

        Else a few long calls would keep a plan too long for any frame, where one call a second is all that corrects it.
        """
        return self._below > 0 or SPREAD * self._newest < self._margin

    @property
    def kept(self) -> float | None:
        """Share of the last calls that took no longer than planned: 0.93 to 0.98 is calibrated. None: too few yet."""
        return sum(self._kept) / len(self._kept) if len(self._kept) >= _WINDOW else None

    # ---- what is learned ----

    def observe(self, n: int, seconds: float, now: float) -> None:
        """A call of `n` frames took so long."""
        seconds = max(LEAST_SECONDS, seconds)
        self._newest = ratio = seconds / self.expected(n)
        self._kept.append(ratio <= self._margin)
        self._beyond = self._beyond + 1 if ratio > max(SLOWER, self._margin) else 0
        self._below = self._below + 1 if ratio < FASTER else 0
        self._calls.append((n, seconds))
        self._ratios.append(ratio)
        self.slowness += GAIN * self.slowness * (min(ratio, MOST_RATIO) - 1.0)
        self.last_at = now
        if max(self._beyond, self._below) >= IN_A_ROW:
            self._begin_again()
        elif now - self._fitted_at >= FIT_SECONDS:
            self._fit(now)
        self._margin = margin(self._ratios)

    def _begin_again(self) -> None:
        """From the last calls alone."""
        newest = list(self._calls)[-IN_A_ROW:]
        self._now = self._warm
        self.slowness = median(seconds / self.line(n) for n, seconds in newest)
        self._calls = deque(newest, maxlen=_WINDOW)
        self._ratios = deque((seconds / self.expected(n) for n, seconds in newest), maxlen=_WINDOW)
        self._beyond = self._below = 0

    def _fit(self, now: float) -> None:
        """Another line; what is expected of a call like the newest stays as it was."""
        self._fitted_at = now
        newest, _ = self._calls[-1]
        before = self.line(newest)
        level = median(seconds / self.line(n) for n, seconds in self._calls)
        known = ((n, level * self.line(n), 1) for n, _ in self.profile)
        self._now = fitted([*known, *_medians(self._calls)])
        self.slowness *= before / self.line(newest)


def margin(ratios: Sequence[float]) -> float:
    """The ratio of taken to expected that a further call stays within with probability KEPT.

    The k-th smallest of m has k of its m + 1 gaps below it; below 19 calls there is none that is large enough.
    """
    rank = math.ceil(KEPT * (len(ratios) + 1))
    ordered = sorted(ratios)
    return ordered[rank - 1] if rank <= len(ordered) else max(CAREFUL, *ordered[-1:])


def fitted(points: Sequence[tuple[int, float, int]]) -> tuple[float, float]:
    """Weighted least squares of seconds = a·n + b over (n, seconds, weight), with a, b ≥ 0.

    Points of one n only: all is put down to the frames, so that a batch is not thought to pay unmeasured.
    """
    weight = sum(w for _, _, w in points)
    mean_n = sum(w * n for n, _, w in points) / weight
    mean_s = sum(w * s for _, s, w in points) / weight
    spread = sum(w * (n - mean_n) ** 2 for n, _, w in points)
    if spread == 0:
        return mean_s / mean_n, 0.0
    slope = sum(w * (n - mean_n) * (s - mean_s) for n, s, w in points) / spread
    if slope < 0:
        return 0.0, mean_s
    if mean_s < slope * mean_n:
        return sum(w * n * s for n, s, w in points) / sum(w * n * n for n, _, w in points), 0.0
    return slope, mean_s - slope * mean_n


def _at(line: tuple[float, float], n: int) -> float:
    return max(LEAST_SECONDS, line[0] * n + line[1])


def _medians(calls: Iterable[Point]) -> list[tuple[int, float, int]]:
    calls = list(calls)
    return [(n, median(s for m, s in calls if m == n), many) for n, many in Counter(n for n, _ in calls).items()]
