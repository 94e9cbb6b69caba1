"""What has been sent and not yet acknowledged, and when it goes out again. Pure: `now` and chance come from outside.

Each lane has a window of its own, so that what is live never waits for what is historical. A batch leaves it only when
the control plane has stored all of it; until then it is sent again after a back-off that doubles and carries jitter, so
that a fleet does not come back in step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from agent.telemetry.books import Tally
from agent.telemetry.outbox import Lane
from agent.telemetry.ranges import SeqRange

FIRST_BACKOFF = 2.0  # seconds; ingest acknowledges within one when all is well
BEHIND_SECONDS = 4.0  # more for what is historical, which is taken in after what is live
LONGEST_BACKOFF = 30.0
MOST_IN_AIR = 4_000  # records of both lanes: each new connection that nobody answers leaves some of what was live
PATIENT = 3  # tries after which a batch waits long
ANSWER_WEIGHT = 0.25  # of the newest acknowledgement in what they take of late
JITTER = 0.5  # of the back-off, up or down
NO_RECORDS = 0  # the number that stands for a batch without records; each acknowledgement of its epoch is one of it


@dataclass
class Flight:
    """One batch in the air."""

    epoch: str
    lane: Lane
    batch: bytes  # without what is told anew at each sending
    missing: set[int]  # numbers not yet acknowledged
    records: int
    again_at: float  # monotonic
    first_at: float = 0.0  # monotonic; sent
    sent_at: float = 0.0  # last
    tries: int = 0
    taken: bool = False  # by the broker, the last time
    tallies: tuple[Tally, ...] | None = None  # that went with it the first time: the answer may be one to that

    @property
    def waiting(self) -> int:
        """Records of it that are not acknowledged."""
        return len(self.missing - {NO_RECORDS})


@dataclass
class Window:
    chance: Callable[[], float]  # uniform in [0, 1)
    most: int = 8  # live batches
    _answers: dict[Lane, float] = field(default_factory=lambda: dict.fromkeys(Lane, 0.0))  # seconds, of late
    _flights: list[Flight] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Nothing more that is live may join."""
        return sum(flight.lane is Lane.LIVE for flight in self._flights) >= self.most or self.in_air() >= MOST_IN_AIR

    def in_air(self, lanes: Collection[Lane] = tuple(Lane)) -> int:
        """Records of these lanes that were sent and not acknowledged."""
        return sum(flight.waiting for flight in self._flights if flight.lane in lanes)

    def next_at(self, lane: Lane) -> float | None:
        """When something of the lane has to be sent again."""
        return min((flight.again_at for flight in self._flights if flight.lane is lane), default=None)

    def add(self, flight: Flight) -> Flight:
        self._flights.append(flight)
        return flight

    def due(self, lane: Lane, now: float) -> Flight | None:
        """The batch of the lane that waits longest for being sent (again)."""
        ready = [flight for flight in self._flights if flight.lane is lane and flight.again_at <= now]
        return min(ready, key=lambda flight: flight.again_at, default=None)

    def sent(self, flight: Flight, now: float, *, taken: bool) -> None:
        """It was sent, or sending failed: look again after the back-off."""
        flight.again_at = now + backoff(flight.tries, self.chance(), self._patience(flight.lane))
        flight.tries, flight.taken = flight.tries + 1, taken

    def _patience(self, lane: Lane) -> float:
        """Slow answers are no lost ones: sending again would make them slower."""
        behind = BEHIND_SECONDS if lane is Lane.HISTORICAL else 0.0
        return FIRST_BACKOFF + behind + min(2 * self._answers[lane], LONGEST_BACKOFF / 2)

    def acknowledged(self, epoch: str, ranges: Iterable[SeqRange], now: float) -> list[Flight]:
        """The batches that are complete by this, and gone.

        Of one that was sent again nobody knows which time was answered: counting from the first is patient.
        """
        of_epoch, covered = [flight for flight in self._flights if flight.epoch == epoch], [(0, 0), *ranges]
        for flight in of_epoch:
            flight.missing = {seq for seq in flight.missing if not any(first <= seq <= last for first, last in covered)}
        self._flights = [flight for flight in self._flights if flight.missing]
        done = [flight for flight in of_epoch if not flight.missing]
        for flight in done:
            self._answers[flight.lane] += ANSWER_WEIGHT * (now - flight.first_at - self._answers[flight.lane])
        return done

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

    def darken(self) -> None:
        """A dark time ended: what is in the air waited from before it did."""
        for flight in self._flights:
            flight.lane = Lane.HISTORICAL

    def drop(self, flight: Flight) -> None:
        """It will not be sent again."""
        self._flights = [each for each in self._flights if each is not flight]


def backoff(tries: int, chance: float, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF) -> float:
    """Seconds after which to try again; `chance` is uniform in [0, 1)."""
    plain = min(longest, first * 2.0 ** min(tries, 30))
    return plain * (1 - JITTER + 2 * JITTER * chance)
