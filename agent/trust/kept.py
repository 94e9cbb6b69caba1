"""What this box keeps of trust: floors in two places, approvals by digest.

A place that was restored from an old copy, zeroed or lost does not count: of both, the higher floor does. Floors are in
both before anything is believed that raised them, in the state first: one that knows less than the second place was put
back, and approves no longer what has been ended since. Approvals let a release that was confirmed answer again without
a network and without metadata.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Protocol

from agent.ports import StateStore
from agent.trust import agreement, floors
from agent.trust.agreement import Approval
from agent.trust.floors import Floors
from protos.errors import Rejected
from protos.ids import Digest

log = logging.getLogger(__name__)

FLOORS = "trust/floors"
SINCE = "trust/since"  # there, once this box knows signatures, by either place
PREFIX = "approved/"


class SecondPlace(Protocol):
    """Floors beside the identity (adapter: agent.adapters.trust_files)."""

    def floors(self) -> bytes:
        """As kept; empty when none are. Raises Retryable, Fatal."""
        ...

    def keep_floors(self, content: bytes) -> None:
        """Atomic and durable. Raises Retryable, Fatal."""
        ...


class KeptFloors:
    """Read once; then what was kept last counts."""

    def __init__(self, state: StateStore, second: SecondPlace, fleet: str) -> None:
        """`fleet`: SHA-256 of its CA's public key. Raises Retryable, Fatal."""
        self._state, self._second = state, second
        copies = [known for content in (state.get(FLOORS), second.floors()) if (known := _read(content))]
        self.now = floors.higher(copies, fleet)
        if self.now.root and state.get(SINCE) is None:  # an older state, put back: it adopts nothing
            state.put(SINCE, b"1")
        own = _read(state.get(FLOORS)) or Floors()
        if floors.higher([own], fleet).releases != self.now.releases:
            self._end_what_is_below()
            state.put(FLOORS, floors.to_bytes(self.now))

    def keep(self, value: Floors) -> None:
        """In both places, then it counts. Raises Retryable, Fatal; it does not count then."""
        if value == self.now:
            return
        content = floors.to_bytes(value)
        self._state.put(FLOORS, content)
        self._second.keep_floors(content)
        self.now = value

    def _end_what_is_below(self) -> None:
        approvals = Approvals(self._state)
        for digest in list(approvals):
            approval = approvals.get(digest)
            if approval is None or agreement.ended(approval, self.now.releases):
                log.warning("%s was approved before floors rose, and answers no more", digest[:19])
                del approvals[digest]


class Approvals(MutableMapping[Digest, Approval]):
    """Writing and deleting raise what the state store does."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def adopt(self, confirmed: Iterable[Digest]) -> None:
        """Once in the life of a box: what an agent that knew no signatures has confirmed."""
        if self._state.get(SINCE) is None:
            for digest in confirmed:
                self[digest] = agreement.confirmed_before(digest)
            self._state.put(SINCE, b"1")

    def __getitem__(self, digest: Digest) -> Approval:
        content = self._state.get(PREFIX + digest)
        if content is None:
            raise KeyError(digest)
        try:
            return agreement.from_bytes(content)
        except Rejected as error:
            log.warning("%s: %s", digest[:19], error)
            raise KeyError(digest) from None

    def __setitem__(self, digest: Digest, approval: Approval) -> None:
        content = agreement.to_bytes(approval)
        if self._state.get(PREFIX + digest) != content:
            self._state.put(PREFIX + digest, content)

    def __delitem__(self, digest: Digest) -> None:
        self._state.delete(PREFIX + digest)

    def __iter__(self) -> Iterator[Digest]:
        return (Digest(key.removeprefix(PREFIX)) for key in self._state.keys(PREFIX))

    def __len__(self) -> int:
        return len(self._state.keys(PREFIX))


def _read(content: bytes | None) -> Floors | None:
    if not content:
        return None
    try:
        return floors.from_bytes(content)
    except Rejected as error:
        log.warning("%s; the other copy counts", error)
        return None
