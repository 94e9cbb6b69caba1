"""How long an engine worker may take before it counts as hung. Pure: values and `now` in, a verdict out.

What may be planned with is `agent.offload.cost`'s; this one running mean only tells slow from hung.

The oldest call runs, or is the next to; so its time counts, from when it became the oldest, and however many younger
ones are answered meanwhile: a thread that hangs is found though the others go on. A call is given the longer of ten
seconds and fifty times the usual for as many examples as it holds, and any waiting that was added on purpose on top.
Loading has a limit of its own: TensorRT builds an engine for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

AT_LEAST = 10.0  # seconds: a box that swaps or a picture of 64 megapixels is slow, not hung
TIMES_USUAL = 50.0
MOST_ROWS = 256  # counted in one call, so that a large batch that hangs is found as well
LOAD_SECONDS = {"cpu": 120.0, "cuda": 300.0, "tensorrt": 1800.0}
_WEIGHT = 0.1  # of the newest time in the running mean


@dataclass
class Patience:
    """The running mean of inference time, and the head of the queue."""

    usual: float = 0.0  # seconds for one example
    _head: int = 0  # its number
    _head_since: float | None = None
    _head_limit: float = 0.0

    def learn(self, infer_seconds: float, rows: int = 1) -> None:
        """One inference of `rows` examples took so long."""
        self.usual += (_WEIGHT if self.usual else 1.0) * (infer_seconds / rows - self.usual)

    def limit(self, slow_down: float, rows: int = 1) -> float:
        """Seconds one inference of `rows` examples may take."""
        return max(AT_LEAST, TIMES_USUAL * self.usual * min(rows, MOST_ROWS)) + slow_down

    def head(self, call: int, now: float, limit: float) -> None:
        """This call is the oldest now, or still is."""
        if self._head_since is None or call != self._head:
            self._head, self._head_since, self._head_limit = call, now, limit

    def idle(self) -> None:
        self._head_since = None

    def overdue(self, now: float) -> bool:
        """Has the oldest call run for too long?"""
        return self._head_since is not None and now - self._head_since > self._head_limit
