"""What may go up, whatever it would be worth: no minute carries more than its budget and a twentieth.

Rules that hold here:

- Every minute counts, not only those that begin at a full one: what was sent is held against the budget from its
  booking until a minute after it ended, so that no minute *on the wire* carries more either, however long a picture
  took to go up.
- A picture is booked before its size is known, and corrected when it is. A correction that does not fit is refused: the
  booking is gone, and the picture must not go up.
- Bits are whole, and rounded up. What ended within a tenth of a second is forgotten together, at the end of it.

Prices (`prices`) spread what may be sent over time; this only ends it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

WINDOW = 60.0  # seconds
BEYOND = 1.05  # times the budget, in any window
GRAIN = 0.1  # seconds


@dataclass(slots=True, eq=False)
class Booking:
    """Bits that are about to go up, or going."""

    bits: int


class SlidingBudget:
    """See the module's rules. All times are monotonic seconds, and never go back.

    `bits_per_second` may be set at any time; what was sent stays counted.
    """

    __slots__ = ("_held", "_past", "bits_per_second")

    def __init__(self, bits_per_second: float) -> None:
        self.bits_per_second = bits_per_second
        self._held = 0  # bits, of bookings and of the last minute
        self._past: deque[list[float]] = deque()  # [until when it is held, bits]

    @property
    def most(self) -> float:
        """Bits that any window may carry."""
        return self.bits_per_second * WINDOW * BEYOND

    def left(self, now: float) -> float:
        """Bits that may be booked now; never below zero."""
        self._forget(now)
        return max(0.0, self.most - self._held)

    def filled(self, now: float) -> float:
        """Share of what a minute may carry that is booked or was sent within it, 0 to 1."""
        self._forget(now)
        return min(1.0, self._held / self.most) if self.most > 0.0 else 0.0

    def allows(self, bits: float, now: float) -> bool:
        """Would `reserve` book so many bits now?"""
        self._forget(now)
        return self._held + math.ceil(bits) <= self.most

    def reserve(self, bits: float, now: float) -> Booking | None:
        """Book bits for a picture about to go up; `correct`, then `ended` or `withdrawn` follow. None: no room."""
        if not self.allows(bits, now):
            return None
        booking = Booking(math.ceil(bits))
        self._held += booking.bits
        return booking

    def correct(self, booking: Booking, bits: float, now: float) -> bool:
        """Its size is known now. False: it does not fit, is no longer booked, and must not be sent."""
        more = math.ceil(bits) - booking.bits
        if more > 0 and not self.allows(more, now):
            self.withdrawn(booking)
            return False
        booking.bits += more
        self._held += more
        return True

    def ended(self, booking: Booking, now: float) -> None:
        """It went up, or what had gone up of it by now is all that will. Once for each booking."""
        self._forget(now)
        until = (math.floor((now + WINDOW) / GRAIN) + 1) * GRAIN
        if self._past and self._past[-1][0] >= until:
            self._past[-1][1] += booking.bits
        else:
            self._past.append([until, booking.bits])
        booking.bits = 0

    def withdrawn(self, booking: Booking) -> None:
        """Nothing of it was sent."""
        self._held -= booking.bits
        booking.bits = 0

    def _forget(self, now: float) -> None:
        while self._past and self._past[0][0] <= now:
            self._held -= int(self._past.popleft()[1])
