"""Blobs in memory, for tests."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from controlplane.errors import NotFound
from controlplane.ports import Clock
from protos.errors import Rejected, Retryable
from protos.ids import Digest, digest_of

CHUNK = 1 << 20


class MemoryBlobStore:
    """Implements controlplane.ports.BlobStore."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blobs: dict[Digest, tuple[bytes, float]] = {}
        self._tables: dict[Digest, bytes] = {}
        self._parts: defaultdict[str, bytearray] = defaultdict(bytearray)
        self._written: dict[str, float] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def size(self, digest: Digest) -> int | None:
        found = self._blobs.get(digest)
        return None if found is None else len(found[0])

    def read(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if digest not in self._blobs:
            raise NotFound(f"there is no file {digest[:19]}…; push the release that names it")
        content = self._blobs[digest][0][start:stop]
        return (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))

    @contextmanager
    def stage(self, upload: str) -> Iterator[_Part]:
        if not self._locks[upload].acquire(blocking=False):
            raise Retryable("another request sends this file right now; wait for it or try again", 1.0)
        try:
            yield _Part(self, upload)
        finally:
            self._locks[upload].release()

    def discard(self, upload: str) -> None:
        self._parts.pop(upload, None)
        self._written.pop(upload, None)

    def stagings(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def give_up(self, upload: str, before: float) -> bool:
        with suppress(Retryable), self.stage(upload):
            if upload not in self._parts or self._written.get(upload, 0.0) < before:
                self.discard(upload)
                return True
        return False

    def stored(self) -> Iterator[tuple[Digest, float]]:
        return iter([(digest, stored) for digest, (_, stored) in sorted(self._blobs.items())])

    def refresh(self, digest: Digest) -> bool:
        if digest not in self._blobs:
            return False
        self._blobs[digest] = (self._blobs[digest][0], self._clock.unix())
        return True

    def delete(self, digest: Digest) -> None:
        self._blobs.pop(digest, None)
        self._tables.pop(digest, None)

    def table(self, digest: Digest) -> bytes | None:
        return self._tables.get(digest)

    def keep_table(self, digest: Digest, content: bytes) -> None:
        if digest in self._blobs:
            self._tables[digest] = content

    def append(self, upload: str, chunk: bytes) -> None:
        self._parts[upload] += chunk
        self._written[upload] = self._clock.unix()

    def staged(self, upload: str) -> int:
        return len(self._parts.get(upload, b""))

    def commit(self, upload: str, digest: Digest) -> None:
        content = bytes(self._parts.pop(upload, b""))
        if digest_of(content) != digest:
            raise Rejected(f"the bytes that came are not those of {digest[:19]}…; push again")
        self._blobs[digest] = (content, self._clock.unix())


class _Part:
    """Implements controlplane.ports.Staging."""

    def __init__(self, store: MemoryBlobStore, upload: str) -> None:
        self._store = store
        self._upload = upload

    @property
    def offset(self) -> int:
        return self._store.staged(self._upload)

    def write(self, chunk: bytes) -> None:
        self._store.append(self._upload, chunk)

    def commit(self, digest: Digest) -> None:
        self._store.commit(self._upload, digest)
