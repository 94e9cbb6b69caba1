"""Ports to signed metadata: where its files come from, and who proves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.trust.agreement import Found
from agent.trust.floors import RootFacts, Seen
from protos.ids import DeploymentName, Digest
from protos.trust import Listing

Get = Callable[[str, int], bytes]  # MetadataSource.get, for a thread


class MetadataSource(Protocol):
    """Where files of metadata come from: never trusted, only fetched (adapter: agent.adapters.metadata_https)."""

    @property
    def ready(self) -> bool:
        """Is there somewhere to ask?"""
        ...

    async def get(self, name: str, most: int) -> bytes:
        """The file of this name, of at most `most` bytes.

        Raises:
            Absent: there is none.
            Retryable: it did not come, came too slowly, or does not end.
        """
        ...


@dataclass(frozen=True)
class Proven:
    """What a refresh has proven. `expires`: unix seconds, by role."""

    seen: Seen
    expires: Mapping[str, float]


class Metadata(Protocol):
    """Signed metadata on this box's disk (adapter: agent.adapters.tuf_metadata).

    Blocking; used by one thread at a time. What a call has written is durable when it returns. Each may raise:
    Untrusted, Stale, Retryable (it did not come), Fatal (the disk). Nothing may be believed that a call did not return.
    """

    def roots(self, first: bytes) -> Sequence[RootFacts]:
        """Every root from the `first` trusted one to the newest there is, each proven by the one before."""
        ...

    def forget_online(self) -> None:
        """Throw away what online keys signed, and ask for it anew next time: their keys were changed, or what
        `refresh` returned is below this box's floors.
        """
        ...

    def refresh(self) -> Proven:
        """Timestamp, snapshot and targets anew, under the newest of `roots`."""
        ...

    def find(self, deployment: DeploymentName, *, shadow: bool) -> tuple[Found, Mapping[str, float]]:
        """What the last refresh holds for this deployment; what is missing is fetched. And when what it read expires.

        Call it after `refresh` only.
        """
        ...

    def listed(self, digest: Digest) -> tuple[Listing | None, Mapping[str, float]]:
        """What the last refresh holds of the manifest of this digest: listed, and assigned to any deployment at all.

        None: it is not both. And when what was read expires. Call it after `refresh` only.
        """
        ...
