"""The limit: ONNX Runtime alone, called from threads of this process, with nothing between.

`alone` is one call after another on all cores, by the faster of two ways: with threads that spin, as the runtime has it
by default, for idle machines, and with threads that rest, which beside other work are answered two to three times as
soon. `many` is a thread a core on one session, one core a call, which answers most calls in a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np

from agent.bench.figures import Slice
from agent.cameras.letterbox import Pixels
from agent.inference import warming
from agent.inference.session import Session, Spinning
from agent.trial.tally import percentile


class Raw:
    """One variant. Blocks; made and called beside the event loop."""

    def __init__(self, model: bytes, cores: int, width: int, pixels: Pixels | None, outputs: Sequence[str] | None):
        """`pixels`: what an image release is shown; others get zeros. Raises BadModel, Retryable, Fatal."""
        self._many = Session(model)
        self._alone = [self._many]
        if cores > 1:
            self._alone = [Session(model, threads=cores, spinning=each) for each in (Spinning.ALWAYS, Spinning.NEVER)]
        self._width = width
        self._feeds = warming.zeros(self._many.signature) if pixels is None else {"image": pixels[np.newaxis]}
        self._outputs = outputs

    def alone(self, seconds: float, stop: threading.Event) -> Slice:
        each = seconds / len(self._alone)
        return faster([called(self._call(session), 1, each, stop) for session in self._alone])

    def many(self, seconds: float, stop: threading.Event) -> Slice:
        return called(self._call(self._many), self._width, seconds, stop)

    def _call(self, session: Session) -> Callable[[], object]:
        return lambda: session.run(self._feeds, self._outputs)


def faster(slices: Sequence[Slice]) -> Slice:
    """The one whose calls usually took less."""
    return min(slices, key=lambda each: percentile(each.calls, 0.5))


def called(call: Callable[[], object], threads: int, seconds: float, stop: threading.Event) -> Slice:
    """For so long, or until `stop`; once in each thread at least."""
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        took = list(pool.map(lambda _: _repeated(call, started + seconds, stop), range(threads)))
    return Slice(tuple(chain.from_iterable(took)), time.perf_counter() - started)


def _repeated(call: Callable[[], object], until: float, stop: threading.Event) -> list[float]:
    took = []
    while True:
        started = time.perf_counter()
        call()
        ended = time.perf_counter()
        took.append(ended - started)
        if ended >= until or stop.is_set():
            return took
