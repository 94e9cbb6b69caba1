"""What has been sent and not yet acknowledged, and when it goes out again. Pure: `now` and chance come from outside.

At most `most` batches are in the air. A batch leaves the window only when the control plane has stored all of it; until
then it is sent again after a back-off that doubles and carries jitter, so that a fleet does not come back in step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.telemetry.books import Tally
from agent.telemetry.ranges import SeqRange

FIRST_BACKOFF = 2.0  # seconds; ingest acknowledges within one when all is well
LONGEST_BACKOFF = 30.0
PATIENT = 3  # tries after which a batch waits long
JITTER = 0.5  # of the back-off, up or down


@dataclass
class Flight:
    """One batch in the air."""

    epoch: str
    payload: bytes
    missing: set[int]  # numbers not yet acknowledged
    again_at: float  # monotonic
    tallies: tuple[Tally, ...] = ()  # that it carries
    tries: int = 0


@dataclass
class Window:
    chance: Callable[[], float]  # uniform in [0, 1)
    most: int = 8
    _flights: list[Flight] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self._flights) >= self.most

    @property
    def in_air(self) -> int:
        """Records sent and not acknowledged."""
        return sum(len(flight.missing) for flight in self._flights)

    @property
    def next_at(self) -> float | None:
        """When something has to be sent again."""
        return min((flight.again_at for flight in self._flights), default=None)

    def add(
        self, epoch: str, payload: bytes, seqs: Iterable[int], now: float, tallies: tuple[Tally, ...] = ()
    ) -> Flight:
        """A new batch, to be sent now."""
        flight = Flight(epoch, payload, set(seqs), now, tallies)
        self._flights.append(flight)
        return flight

    def due(self, now: float) -> Flight | None:
        """The batch that waits longest for being sent (again)."""
        ready = [flight for flight in self._flights if flight.again_at <= now]
        return min(ready, key=lambda flight: flight.again_at, default=None)

    def sent(self, flight: Flight, now: float) -> None:
        """It was sent, or sending failed: look again after the back-off."""
        flight.again_at = now + backoff(flight.tries, self.chance())
        flight.tries += 1

    def acknowledged(self, epoch: str, ranges: Iterable[SeqRange]) -> list[Flight]:
        """Batches of which nothing is missing any more."""
        of_epoch = [flight for flight in self._flights if flight.epoch == epoch]
        for first, last in ranges:
            for flight in of_epoch:
                flight.missing = {seq for seq in flight.missing if not first <= seq <= last}
        self._flights = [flight for flight in self._flights if flight.missing]
        return [flight for flight in of_epoch if not flight.missing]

    def revive(self, now: float) -> None:
        """Somebody answers again: what has waited long goes out now.

        Only that: while answers are merely slow, sending the rest again would make them slower.
        """
        for flight in self._flights:
            if flight.tries >= PATIENT:
                flight.again_at, flight.tries = now, 1

    def hurry(self, now: float) -> None:
        """The way is open again: everything may go out at once."""
        for flight in self._flights:
            flight.again_at, flight.tries = now, 0


def backoff(tries: int, chance: float, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> float:
    """Seconds after which to try again; `chance` is uniform in [0, 1)."""
    plain = min(longest, first * 2.0 ** min(tries, 30))
    return plain * (1 - JITTER + 2 * JITTER * chance)
