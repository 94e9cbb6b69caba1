"""Which slots of a tap are being read, and which number its next frame gets. Pure; the agent's side of shared memory.

A slot that was announced belongs to the agent until it gives it back, whatever becomes of the worker that filled it:
after a worker's death or a change of memory its number stays taken, so nothing writes where somebody still reads.
Numbers go on across both.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from agent.types import Tap


@dataclass
class Ledger:
    """Of all taps; a tap that is gone is forgotten once its last slot came back."""

    _held: dict[Tap, dict[int, int]] = field(default_factory=dict)  # slot -> frame number
    _next: defaultdict[Tap, int] = field(default_factory=lambda: defaultdict(lambda: 1))

    def announced(self, tap: Tap, slot: int, seq: int) -> bool:
        """A frame lies in `slot`. False if that cannot be: the slot is still being read, or the number was used."""
        held = self._held.setdefault(tap, {})
        if slot in held or seq < self._next[tap]:
            return False
        held[slot] = seq
        self._next[tap] = seq + 1
        return True

    def passed(self, tap: Tap, seq: int) -> None:
        """Frames up to this one lie in no slot."""
        self._next[tap] = max(self._next[tap], seq + 1)

    def released(self, tap: Tap, slot: int) -> bool:
        """A slot was given back. False if it was not held: given back twice, or never given out."""
        held = self._held.get(tap, {})
        found = held.pop(slot, None) is not None
        if not held:
            self._held.pop(tap, None)
        return found

    def frame_in(self, tap: Tap, slot: int) -> int | None:
        """The number of the frame in a held slot."""
        return self._held.get(tap, {}).get(slot)

    def busy(self, tap: Tap) -> list[int]:
        return sorted(self._held.get(tap, ()))

    def next_seq(self, tap: Tap) -> int:
        return self._next[tap]
