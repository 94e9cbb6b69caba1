"""ReleaseStore: where release bytes lie on the box, addressed by content.

A blob is staged piece by piece and kept only when its bytes were proven; `has` is true of whole, kept blobs alone.
Adapter: agent.adapters.release_store (blobs/sha256/<hex> and staging/<hex>.part in the state directory).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agent.update.verify import FileFacts
from protos.ids import Digest


class ReleaseStore(Protocol):
    """All calls may block on the disk; those that move or hash whole files are made in a thread, and may overlap.

    Each may raise Retryable, DiskFull or Fatal: the disk failed, and what lies there is as it was.
    """

    def has(self, digest: Digest) -> bool: ...

    def read(self, digest: Digest) -> bytes:
        """The kept blob's content, not proven again. Raises Damaged when it is not there."""
        ...

    def kept(self) -> dict[Digest, int]:
        """Every kept blob and its size, bytes."""
        ...

    def span(self, digest: Digest, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of the kept blob, not proven; fewer where it has no more, none where it is not there."""
        ...

    def facts(self, digest: Digest) -> FileFacts | None:
        """Size and hash of what lies there now, kept or staged; None when nothing does."""
        ...

    def staged(self, digest: Digest) -> int:
        """Bytes staged so far: the offset to go on from. 0 when nothing is."""
        ...

    def append(self, digest: Digest, content: bytes) -> None:
        """Add to the staged part. When it fails, what was staged before stays good."""
        ...

    def complete(self, digest: Digest) -> None:
        """The staged part has its last byte: make it durable. Harmless when the blob is kept already."""
        ...

    def keep(self, digest: Digest) -> None:
        """The staged part was proven: give it its final place, durably. Harmless when it is there already."""
        ...

    def discard(self, digests: Iterable[Digest]) -> None:
        """Forget kept and staged bytes of these digests."""
        ...

    def sweep(self, keep: Iterable[Digest]) -> None:
        """Delete every blob and every staged part that is not in `keep`."""
        ...

    def free_bytes(self) -> int:
        """What this process may still write on that disk."""
        ...

    def used_bytes(self) -> int:
        """Of everything kept and staged."""
        ...
