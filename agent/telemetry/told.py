"""What a batch tells of the books of this box. Pure.

Rules that hold here:

- a batch tells of its own epoch, and of others when records were accepted or dropped; what is merely no longer waiting
  the control plane knows best itself. At rest that is told, too (see Sender);
- a tally counts the records of the batch that carries it as stored: who reads it has stored them with it. So a box that
  sends one batch at a time needs no message of its own to say that nothing waits;
- a tally is known once the batch that told it at its first sending is acknowledged; until then each batch repeats it.
  What a repetition said beside may be lost with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.telemetry.books import Tally

MOST = 50  # tallies of one batch


@dataclass
class Told:
    _known: dict[str, Tally] = field(default_factory=dict)

    def beside(self, changed: Sequence[Tally], epoch: str, records: int) -> tuple[Tally, ...]:
        """What a batch of `epoch` with so many records tells of what `changed`."""
        own = [_without(tally, records) for tally in changed if tally.epoch == epoch]
        return (*own, *(tally for tally in changed if tally.epoch != epoch and self._grew(tally)))[:MOST]

    def heard(self, tallies: Iterable[Tally]) -> None:
        """The batch with these was acknowledged."""
        self._known.update((tally.epoch, tally) for tally in tallies)

    def _grew(self, tally: Tally) -> bool:
        known = self._known.get(tally.epoch)
        return known is None or (known.accepted, known.dropped) != (tally.accepted, tally.dropped)


def _without(tally: Tally, records: int) -> Tally:
    """With so many records stored; the oldest of the rest is no older."""
    waiting = max(0, tally.waiting - records)
    return replace(tally, waiting=waiting, oldest_unix_ms=tally.oldest_unix_ms if waiting else 0)
