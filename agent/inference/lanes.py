"""How an engine worker uses its cores: which session a call runs on, and in which thread.

Rules that hold here:
- A core for each call answers most calls in a second; all cores on one call answer it soonest. So a graph is loaded
  twice where there are cores for it: `many`, one thread a call, and `alone`, all cores for the only call there is.
- A call that came while another ran makes the next second a crowded one, in which `alone` would only be in the way.
- Calls shorter than a hand-over between threads run where they are read, one after the other.
- A model so large that a second copy of its weights would crowd the box is loaded once.

Measured on two cores: two threads on one session, one core each, give 1.3 to 1.6 times what both cores on one call do;
one call alone is answered 1.3 to 1.7 times as fast by both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import Generic, TypeVar

from agent.inference.session import Session

SHORT_SECONDS = 0.0005  # a call; a hand-over between threads costs a tenth of it
CALM_SECONDS = 1.0  # since two calls met, until one of them is taken for alone again
MOST_TWICE = 192 << 20  # bytes of a model that is loaded a second time
Message = TypeVar("Message")


@dataclass(frozen=True)
class Plan:
    """What a model gets. `width`: calls run at once; `alone`: a second session over all cores."""

    width: int
    alone: bool


def planned(cores: int, provider: str, model_bytes: int, call_seconds: float) -> Plan:
    """Pure. `call_seconds`: one call on one core."""
    if provider != "cpu" or cores < 2 or call_seconds < SHORT_SECONDS:
        return Plan(1, alone=False)
    return Plan(cores, alone=model_bytes <= MOST_TWICE)


class Sessions:
    """The sessions of one graph, given out call by call; used by several threads."""

    def __init__(self, many: Session, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.many = many
        self.alone: Session | None = None
        self._now = monotonic
        self._lock = threading.Lock()
        self._running = 0
        self._met_at = float("-inf")  # when a call last met another

    @contextmanager
    def taken(self) -> Iterator[Session]:
        """The session for one call."""
        session = self._begin()
        try:
            yield session
        finally:
            with self._lock:
                self._running -= 1

    def _begin(self) -> Session:
        with self._lock:
            self._running += 1
            now = self._now()
            if self._running > 1:
                self._met_at = now
            is_calm = now - self._met_at > CALM_SECONDS
        return self.alone if self.alone is not None and is_calm else self.many


class Lanes(Generic[Message]):
    """`width` threads that act on messages in order of arrival."""

    def __init__(self, width: int, act: Callable[[Message], None]) -> None:
        """`act` raises nothing: a thread that ended would be missed."""
        self._waiting: Queue[Message] = Queue()
        self._act = act
        for number in range(width):
            threading.Thread(target=self._run, name=f"lane {number}", daemon=True).start()

    def put(self, message: Message) -> None:
        self._waiting.put(message)

    def drain(self) -> None:
        """Wait until all that was put is done."""
        self._waiting.join()

    def _run(self) -> None:
        while True:
            message = self._waiting.get()
            self._act(message)
            self._waiting.task_done()
