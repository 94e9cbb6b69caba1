"""How far what is foretold of an answer is to be trusted, learned from those who waited for one. Pure.

An answer is foretold by adding up what goes before. That errs in ways that nobody can list (another process on the box,
pictures that are long to decode, who came later and was more urgent), but it errs today as it did a moment ago. So a
request is let in as if its answer took as many times longer as 99 in a hundred of the last 128 did at most.

Source: split conformal prediction over a sliding window (Vovk et al., 2005), as in `agent.offload.cost`.
"""

from __future__ import annotations

import math
from collections import deque

KEPT = 0.99  # share of waits no longer than planned: what a promise is worth
CAREFUL = 1.25  # times the foretold, until enough was seen
LEAST, MOST = 1.1, 4.0  # a line that is shorter than it might be costs nothing
WINDOW = 128
RANKED_EVERY = 8  # waits


class Foretelling:
    def __init__(self) -> None:
        self.margin = CAREFUL
        self._ratios: deque[float] = deque(maxlen=WINDOW)
        self._seen = 0

    def learn(self, foretold: float, waited: float) -> None:
        """Seconds. Who did not wait says nothing: what is small beside a wait is all of a short answer."""
        if foretold <= 0.0:
            return
        self._ratios.append(waited / foretold)
        self._seen += 1
        if self._seen % RANKED_EVERY == 0:
            self.margin = margin(sorted(self._ratios))


def margin(ordered: list[float]) -> float:
    """The ratio that a further wait stays within with probability KEPT; with too few, no less than is careful."""
    rank = math.ceil(KEPT * (len(ordered) + 1))
    found = ordered[rank - 1] if rank <= len(ordered) else max(CAREFUL, ordered[-1])
    return min(MOST, max(LEAST, found))
