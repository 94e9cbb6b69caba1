"""What the control plane knows of the books of this box, and what it is told next. Pure.

Rules that hold here:

- a batch tells of its own epoch when anything changed, of others when records were accepted or dropped; what is merely
  no longer waiting the control plane knows best itself. Only at rest is that told, too, once;
- a tally counts the records of the batch that carries it as stored: who reads it has stored them with it. So a box that
  sends one batch at a time needs no message of its own to say that nothing waits;
- a tally is known once its batch is acknowledged; until then each batch repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agent.telemetry.books import Tally

MOST = 50  # tallies of one batch


@dataclass
class Told:
    _known: dict[str, Tally] = field(default_factory=dict)

    def beside(self, tallies: Sequence[Tally], epoch: str, records: int) -> tuple[Tally, ...]:
        """What a batch of `epoch` with so many records tells."""
        own = [_without(tally, records) for tally in tallies if tally.epoch == epoch]
        others = [tally for tally in tallies if tally.epoch != epoch and self._grew(tally)]
        return tuple([*(tally for tally in own if self._differs(tally)), *others][:MOST])

    def at_rest(self, tallies: Sequence[Tally]) -> tuple[Tally, ...]:
        """What is still to be told when nothing is to be sent."""
        return tuple(tally for tally in tallies if self._differs(tally))[:MOST]

    def heard(self, tallies: Iterable[Tally]) -> None:
        """The batch with these was acknowledged."""
        self._known.update((tally.epoch, tally) for tally in tallies)

    def keep(self, tallies: Iterable[Tally]) -> None:
        """No other epoch is anything to the outbox any more."""
        self._known = {tally.epoch: self._known[tally.epoch] for tally in tallies if tally.epoch in self._known}

    def forget(self) -> None:
        """Whoever listens now may be another, or put back from a backup."""
        self._known.clear()

    def _grew(self, tally: Tally) -> bool:
        known = self._known.get(tally.epoch)
        return known is None or (known.accepted, known.dropped) != (tally.accepted, tally.dropped)

    def _differs(self, tally: Tally) -> bool:
        known = self._known.get(tally.epoch)
        return known is None or replace(known, oldest_unix_ms=tally.oldest_unix_ms) != tally


def _without(tally: Tally, records: int) -> Tally:
    """With so many records stored; the oldest of the rest is no older."""
    waiting = max(0, tally.waiting - records)
    return replace(tally, waiting=waiting, oldest_unix_ms=tally.oldest_unix_ms if waiting else 0)
