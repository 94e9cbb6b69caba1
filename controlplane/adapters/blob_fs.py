"""Blobs in a folder: `sha256/<hex>` whole and hashed, `staging/<upload>.part` on their way, `chunks/<hex>` the tables.

A blob gets its name only by a rename of a synced file, so what has a name is complete, also after a power cut. A
staging file is locked while it is open. The running hash of an upload is kept between its requests; where it is lost
(a restart, too many uploads at once) the part is read again, so nothing is only in memory.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from controlplane.errors import NotFound
from controlplane.files import private_folder, sync_folder, write_atomically
from protos.errors import Rejected, Retryable
from protos.ids import Digest, hex_of

CHUNK = 1 << 20
KEPT_HASHES = 64  # uploads at once beyond that cost reading, nothing else
_HEX = re.compile(r"[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderBlobStore:
    """Implements controlplane.ports.BlobStore. Threads and processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self._blobs = private_folder(folder / "sha256")
        self._staging = private_folder(folder / "staging")
        self._tables = private_folder(folder / "chunks")
        self._running: OrderedDict[str, _Running] = OrderedDict()

    def size(self, digest: Digest) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, digest: Digest, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        try:
            file = self._path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no file {digest[:19]}…; push the release that names it") from None
        return _chunks(file, start, stop)

    @contextmanager
    def stage(self, upload: str) -> Iterator[_PartFile]:
        path = self._part(upload)
        with _out_of_space(), path.open("ab+", buffering=0) as file:
            _lock(file, path)
            part = _PartFile(file, path, self._blobs, self._running.pop(upload, None))
            try:
                yield part
            finally:
                self._remember(upload, part.running)

    def _remember(self, upload: str, running: _Running) -> None:
        self._running[upload] = running
        while len(self._running) > KEPT_HASHES:
            self._running.popitem(last=False)

    def staged(self, upload: str) -> int:
        try:
            return self._part(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def discard(self, upload: str) -> None:
        self._running.pop(upload, None)
        self._part(upload).unlink(missing_ok=True)

    def stagings(self) -> Iterator[str]:
        return (path.stem for path in sorted(self._staging.glob("*.part")))

    def give_up(self, upload: str, before: float) -> bool:
        path = self._part(upload)
        try:
            with path.open("rb+", buffering=0) as file:
                _lock(file, path)
                if os.fstat(file.fileno()).st_mtime >= before:
                    return False
                self.discard(upload)
        except FileNotFoundError:
            return True
        except Retryable:  # it is open: somebody sends
            return False
        return True

    def stored(self) -> Iterator[tuple[Digest, float]]:
        """What bears no digest's name is not ours: it is neither listed nor, by that, ever swept."""
        for path in sorted(self._blobs.iterdir()):
            if _HEX.fullmatch(path.name):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield Digest(f"sha256:{path.name}"), path.stat().st_mtime

    def refresh(self, digest: Digest) -> bool:
        try:
            os.utime(self._path(digest))
        except FileNotFoundError:
            return False
        return True

    def delete(self, digest: Digest) -> None:
        self._path(digest).unlink(missing_ok=True)
        self._table(digest).unlink(missing_ok=True)

    def table(self, digest: Digest) -> bytes | None:
        try:
            return self._table(digest).read_bytes()
        except FileNotFoundError:
            return None

    def keep_table(self, digest: Digest, content: bytes) -> None:
        with suppress(OSError):
            write_atomically(self._table(digest), content)
        if self.size(digest) is None:  # deleted while the table was made
            self._table(digest).unlink(missing_ok=True)

    def _path(self, digest: Digest) -> Path:
        return self._blobs / hex_of(digest)

    def _table(self, digest: Digest) -> Path:
        return self._tables / hex_of(digest)

    def _part(self, upload: str) -> Path:
        return self._staging / f"{upload}.part"


class _Running:
    """SHA-256 of the first `hashed` bytes of a part."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.hashed = 0

    def count(self, chunk: bytes) -> None:
        self.hash.update(chunk)
        self.hashed += len(chunk)


class _PartFile:
    """Implements controlplane.ports.Staging."""

    def __init__(self, file: FileIO, path: Path, blobs: Path, running: _Running | None) -> None:
        self._file = file
        self._path = path
        self._blobs = blobs
        self._offset = os.fstat(file.fileno()).st_size
        self.running = running if running is not None and running.hashed == self._offset else _Running()

    @property
    def offset(self) -> int:
        return self._offset

    def write(self, chunk: bytes) -> None:
        self._catch_up()
        try:
            with _out_of_space():
                _write_all(self._file, chunk)
        except Retryable:
            self._file.truncate(self._offset)  # a part of the chunk may have been written
            raise
        self.running.count(chunk)
        self._offset += len(chunk)

    def commit(self, digest: Digest) -> None:
        self._catch_up()
        if self.running.hash.hexdigest() != hex_of(digest):
            self._path.unlink(missing_ok=True)
            raise Rejected(f"the bytes that came are not those of {digest[:19]}…; push again")
        with _out_of_space(), _still_there():
            os.utime(self._file.fileno())  # its last byte may have come long ago
            os.fsync(self._file.fileno())
            self._path.replace(self._blobs / hex_of(digest))
            sync_folder(self._blobs)

    def _catch_up(self) -> None:
        """Hash what an earlier run left."""
        if self.running.hashed == self._offset:
            return
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self.running.count(chunk)


def _lock(file: FileIO, path: Path) -> None:
    """Raises Retryable unless `file` is ours alone and still lies at `path`: a commit may just have renamed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:
        raise Retryable("another request sends this file right now; wait for it or try again", 1.0)


def _write_all(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _chunks(file: BinaryIO, start: int, stop: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = float("inf") if stop is None else stop - start
        while left > 0 and (chunk := file.read(int(min(CHUNK, left)))):
            left -= len(chunk)
            yield chunk


@contextmanager
def _still_there() -> Iterator[None]:
    """Another request that ended the same upload took the part away."""
    try:
        yield
    except FileNotFoundError as error:
        raise Retryable("this upload was ended meanwhile; push again", 1.0) from error


@contextmanager
def _out_of_space() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Retryable("the control plane's disk is full; free space there, then push again", 30.0) from error
        raise
