"""How an engine worker uses its cores: which session a call runs on, and in which thread.

Rules that hold here:
- A core for each call answers most calls in a second; all cores on one call answer it soonest. So a graph is loaded
  twice where there are cores for it: `many`, one thread a call, and `alone`, all cores for the only call there is.
- A call that came while another ran makes the next second a crowded one, in which `alone` would only be in the way.
- Calls shorter than a waking of another thread run in one, one after the other, and answer together.
- Each thread reads for itself, so that a call wakes one thread, and a thread that ends one finds the next.
- A camera's frame goes before the requests that were read and have not begun.
- A model so large that a second copy of its weights would crowd the box is loaded once.

Measured on two cores: two threads on one session, one core each, give 1.3 to 1.6 times what both cores on one call do;
one call alone is answered 1.3 to 1.7 times as fast by both.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

import msgspec

from agent.inference.graph import Graph
from agent.providers import on_cpu
from agent.workers.channel import WorkerChannel

SHORT_SECONDS = 0.0005  # a call; waking a thread costs a tenth of it
CALM_SECONDS = 1.0  # since two calls met, until one of them is taken for alone again
IN_HAND = 2  # two calls that end close together both find the next; with one, a core idled 5 % of the time
MOST_TWICE = 192 << 20  # bytes of a model that is loaded a second time
Message = TypeVar("Message")
Told = TypeVar("Told", bound=msgspec.Struct)
Received = tuple[Told, list[int]]


@dataclass(frozen=True)
class Plan:
    """What a model gets. `width`: calls run at once; `alone`: a second session over all cores; `short`: see above."""

    width: int
    alone: bool = False
    short: bool = False

    @property
    def in_hand(self) -> int:
        """Requests it is sent beyond those that run; short ones come in packets anyway."""
        return 0 if self.short else min(self.width, IN_HAND)


def planned(cores: int, provider: str, model_bytes: int, call_seconds: float) -> Plan:
    """Pure. `call_seconds`: one call on one core; 0: unknown."""
    if 0 < call_seconds < SHORT_SECONDS:
        return Plan(1, short=True)
    if not on_cpu(provider) or cores < 2:
        return Plan(1)
    return Plan(cores, alone=model_bytes <= MOST_TWICE)


class Sessions:
    """The sessions of one graph, given out call by call; used by several threads."""

    def __init__(self, many: Graph, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.many = many
        self.alone: Graph | None = None
        self._now = monotonic
        self._lock = threading.Lock()
        self._running = 0
        self._met_at = float("-inf")  # when a call last met another

    @contextmanager
    def taken(self) -> Iterator[Graph]:
        """The session for one call."""
        session = self._begin()
        try:
            yield session
        finally:
            with self._lock:
                self._running -= 1

    def _begin(self) -> Graph:
        with self._lock:
            self._running += 1
            now = self._now()
            if self._running > 1:
                self._met_at = now
            is_calm = now - self._met_at > CALM_SECONDS
        return self.alone if self.alone is not None and is_calm else self.many


class Rank(Enum):
    """Where a message stands among those that were read."""

    FIRST = auto()  # a camera's frame: before all requests
    NEXT = auto()  # a request: in order of arrival
    AT_ONCE = auto()  # changes nothing that is being read
    APART = auto()  # when all that came before it has ended, and before anything later begins


def of_process(
    channel: WorkerChannel[Told], rank: Callable[[Received[Told]], Rank], act: Callable[[Received[Told]], None]
) -> Lanes[Received[Told]]:
    """Those of a worker's process: an error that `act` raises ends it, and so does the end of the agent."""

    def root(received: Received[Told]) -> None:
        try:
            act(received)
        except EOFError:
            os._exit(0)
        except Exception:  # noqa: BLE001 - the root of a thread
            traceback.print_exc()
            os._exit(1)

    return Lanes(lambda wait: channel.receive(None if wait else 0.0), rank, root)


class Lanes(Generic[Message]):
    """Threads that read, one at a time, and act, all at once: who reads a call runs it, so nothing is handed over."""

    def __init__(
        self,
        receive: Callable[[bool], Message | None],
        rank: Callable[[Message], Rank],
        act: Callable[[Message], None],
    ) -> None:
        """`receive(wait)` gives the next message; None where none is there and `wait` is false.

        `act` raises nothing: a thread that ended would be missed.
        """
        self._receive = receive
        self._rank = rank
        self._act = act
        self._reading = threading.Lock()
        self._first, self._next = deque[Message](), deque[Message]()
        self._apart: Message | None = None
        self._ended = threading.Condition()
        self._running = 0

    def run(self, width: int) -> None:
        """As so many threads, this one among them, until no more messages come. Others may then still run a call."""
        for number in range(1, width):
            threading.Thread(target=self._lane, name=f"lane {number}", daemon=True).start()
        self._lane()

    def withdraw(self, unwanted: Callable[[Message], bool]) -> Message | None:
        """Take a request out that has not begun; None where none such waits. For `act` of a message `AT_ONCE`."""
        found = next((message for message in self._next if unwanted(message)), None)
        if found is not None:
            self._next.remove(found)
        return found

    def _lane(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._act(self._begun())
                with self._ended:
                    self._running -= 1
                    self._ended.notify()

    def _begun(self) -> Message:
        """The call that this thread is to run."""
        with self._reading:
            while (call := self._chosen()) is None:
                self._change()
            with self._ended:
                self._running += 1
            return call

    def _chosen(self) -> Message | None:
        """The first of all calls that are there; waits for one, unless a message that stands apart comes before it."""
        while self._apart is None and self._read(wait=not (self._first or self._next)):
            pass
        waiting = self._first or self._next
        return waiting.popleft() if waiting else None

    def _read(self, *, wait: bool) -> bool:
        message = self._receive(wait)
        if message is None:
            return False
        match self._rank(message):
            case Rank.FIRST:
                self._first.append(message)
            case Rank.NEXT:
                self._next.append(message)
            case Rank.AT_ONCE:
                self._act(message)
            case Rank.APART:
                self._apart = message
        return True

    def _change(self) -> None:
        assert self._apart is not None
        with self._ended:
            self._ended.wait_for(lambda: self._running == 0)
        self._act(self._apart)
        self._apart = None
