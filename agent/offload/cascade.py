"""Which answers of the box are worth a second one from the cloud: optimism with few samples, and a test for drift.

Answers fall into twenty bins of calibrated confidence. Of each bin it is counted how many of its answers that were sent
up agreed with the cloud's. What a bin is trusted with is the lower end of what these counts leave possible:

    lcb = S/N − √(p·(1 − p)·ln(1 + T)/N)        N, S: samples and agreements, p: S/N drawn to the middle, T: answers

Rules that hold here:

- Only what was sent up teaches: so a bin is trusted with little until its samples say otherwise.
- A bin agrees in no less than the bins below it: so the samples near the threshold decide for all above it.
- A bin begins with two samples, as its confidence promises (the profile's validation set).
- Nothing is forgotten while the world stays as it is: regret then grows with the logarithm of the samples.
- A drift is found by two cumulative sums of the log likelihood ratio: of a world in which the odds of agreement fell by
  a factor of e, and of one in which they rose so, against what the counts expect of each sample. One that passes its
  threshold begins the counts again, with the samples since the sum last was nothing.
- A drift among answers of which none goes up is not seen by this. Every frame that box and cloud both answered teaches,
  for whatever reason it went up: hedges too.

Sources: HI-LCB-lite for hierarchical inference (2025), with the variance in its width as in UCB-V (Audibert et al.,
2009), and its monotone form. The restart is GLR-klUCB's idea (Besson et al., JMLR 2022), with Page's cumulative sum
(1954) in place of its generalised ratio, as it costs a microsecond.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

BINS = 20
WIDTH = 1.0  # of the interval; at odds of one to one it is the source's 0.3, rounded down
PRIOR_SAMPLES = 2.0  # of each bin
FIRST = 8  # answers that T begins with: else the very first would be trusted as if T were none
ODDS = 1.0  # of the log odds of agreement: the drift looked for
THRESHOLD = 5.0  # of a sum, and the logarithm of the samples seen: false alarms become rarer with them
KEPT = 256  # samples that a restart may begin with
SURE = 0.02  # an expectation is never nearer to 0 or 1


class Cascade:
    """`prior`: confidence -> P(agrees with the cloud), before the first sample."""

    __slots__ = (
        "_agreed",
        "_answers",
        "_fallen",
        "_lcb",
        "_log",
        "_own",
        "_prior",
        "_recent",
        "_risen",
        "_samples",
        "_widen_at",
        "restarts",
    )

    def __init__(self, prior: Callable[[float], float] = lambda confidence: confidence) -> None:
        self._prior = [prior((j + 0.5) / BINS) for j in range(BINS)]
        self._answers = self._widen_at = FIRST  # T
        self._log = math.log(1.0 + FIRST)  # as of the last look at all bins
        self._samples: list[float] = []  # N
        self._agreed: list[float] = []  # S
        self._own = [0.0] * BINS
        self._lcb = [0.0] * BINS
        self._recent: deque[tuple[int, bool]] = deque(maxlen=KEPT)
        self._fallen = _Sum(-ODDS)
        self._risen = _Sum(ODDS)
        self.restarts = 0
        self._begin([])

    def gain(self, confidence: float, cloud: float) -> float:
        """What a cloud right in `cloud` of its answers is hoped to add to an answer of this confidence: 0 to 1.

        Times P(in time) and the frame's worth, it is compared with the price. Ask once for each answer of the box.
        """
        self._count_answer()
        return max(0.0, cloud - self._lcb[_bin(confidence)])

    def learn(self, confidence: float, *, agreed: bool) -> None:
        """Box and cloud both answered a frame, in time or late."""
        self._count_answer()
        j = _bin(confidence)
        expected = min(1.0 - SURE, max(SURE, self._agreed[j] / self._samples[j]))
        self._recent.append((j, agreed))
        self._samples[j] += 1.0
        self._agreed[j] += agreed
        limit = THRESHOLD + 0.5 * self._log
        since = max(way.passes(expected, limit, agreed=agreed) for way in (self._fallen, self._risen))
        if since:
            self.restarts += 1
            self._begin(list(self._recent)[-since:])
        else:
            self._bound((j,))

    def _count_answer(self) -> None:
        self._answers += 1
        if self._answers >= self._widen_at:
            self._widen_at = self._answers + self._answers // 16 + 1
            self._log = math.log(1 + self._answers)
            self._bound(range(BINS))

    def _begin(self, samples: Sequence[tuple[int, bool]]) -> None:
        """With these samples after the prior's."""
        self._samples = [PRIOR_SAMPLES] * BINS
        self._agreed = [PRIOR_SAMPLES * prior for prior in self._prior]
        self._fallen.begin()
        self._risen.begin()
        for j, agreed in samples:
            self._samples[j] += 1.0
            self._agreed[j] += agreed
        self._bound(range(BINS))

    def _bound(self, bins: Iterable[int]) -> None:
        for j in bins:
            n, agreed = self._samples[j], self._agreed[j]
            p = (agreed + 1.0) / (n + 2.0)
            self._own[j] = max(0.0, agreed / n - math.sqrt(WIDTH * self._log * p * (1.0 - p) / n))
        self._lcb = list(accumulate(self._own, max))


class _Sum:
    """Page's sum for one way that the log odds may have moved; `length`: samples since it last was nothing."""

    __slots__ = ("factor", "length", "value")

    def __init__(self, shift: float) -> None:
        self.factor = math.exp(shift)
        self.begin()

    def begin(self) -> None:
        self.value, self.length = 0.0, 0

    def passes(self, expected: float, limit: float, *, agreed: bool) -> int:
        """Add a sample that was expected to agree with this probability; its length where the sum is beyond, else 0."""
        odds = expected / (1.0 - expected) * self.factor
        moved = odds / (1.0 + odds)
        self.value += math.log(moved / expected if agreed else (1.0 - moved) / (1.0 - expected))
        self.length += 1
        if self.value <= 0.0:
            self.begin()
        return self.length if self.value > limit else 0


def _bin(confidence: float) -> int:
    return min(BINS - 1, max(0, int(confidence * BINS)))
