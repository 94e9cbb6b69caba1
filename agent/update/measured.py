"""What the variants of releases cost on this box, kept over restarts: {variant: seconds of one picture} by release.

Bound to the provider that ran them; what another one measured counts as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

import msgspec

from agent.ports import StateStore
from protos.ids import Digest

PREFIX = "measured/"


class _Record(msgspec.Struct):
    provider: str
    seconds: dict[str, float]


class Measured(MutableMapping[Digest, Mapping[str, float]]):
    """Writing and deleting raise what the state store does."""

    def __init__(self, state: StateStore, provider: str) -> None:
        self._state, self._provider = state, provider

    def __getitem__(self, digest: Digest) -> Mapping[str, float]:
        try:
            record = msgspec.json.decode(self._state.get(PREFIX + digest) or b"", type=_Record)
        except msgspec.MsgspecError:
            raise KeyError(digest) from None
        if record.provider != self._provider:
            raise KeyError(digest)
        return record.seconds

    def __setitem__(self, digest: Digest, seconds: Mapping[str, float]) -> None:
        self._state.put(PREFIX + digest, msgspec.json.encode(_Record(self._provider, dict(seconds))))

    def __delitem__(self, digest: Digest) -> None:
        self._state.delete(PREFIX + digest)

    def __iter__(self) -> Iterator[Digest]:
        return (Digest(key.removeprefix(PREFIX)) for key in self._state.keys(PREFIX))

    def __len__(self) -> int:
        return len(self._state.keys(PREFIX))
