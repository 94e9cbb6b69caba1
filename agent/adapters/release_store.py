"""ReleaseStore on disk: `blobs/sha256/<hex>` holds proven content only, `staging/<hex>.part` what is on its way.

A blob gets its name by rename, after its bytes were proven and synced (agent.adapters.files). A part may hold anything
after a power cut; it is hashed before it is kept. Deployments may share a file: one gives it its name while another
looks for it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from agent.adapters import files
from agent.errors import Damaged
from agent.update.verify import FileFacts
from protos.ids import Digest, hex_of

_PART = ".part"


class DiskReleaseStore:
    """One state directory's releases. The directory belongs to one agent process."""

    def __init__(self, state_dir: Path) -> None:
        self._blobs = state_dir / "blobs" / "sha256"
        self._staging = state_dir / "staging"
        self._naming = threading.Lock()  # a part becomes a blob between two looks, not between looking at the two
        files.make_directory(self._blobs)
        files.make_directory(self._staging)

    def has(self, digest: Digest) -> bool:
        blob = self._blob(digest)
        with files.translated(blob):
            return blob.is_file()

    def read(self, digest: Digest) -> bytes:
        """See the port."""
        blob = self._blob(digest)
        with files.translated(blob):
            try:
                return blob.read_bytes()
            except FileNotFoundError as error:
                raise Damaged(f"{digest[:19]}… is no longer on this box's disk", (digest,)) from error

    def kept(self) -> dict[Digest, int]:
        with files.translated(self._blobs):
            return {Digest(f"sha256:{path.name}"): _size(path) for path in self._blobs.iterdir()}

    def span(self, digest: Digest, start: int, stop: int) -> bytes:
        """See the port."""
        blob = self._blob(digest)
        with files.translated(blob):
            try:
                with blob.open("rb") as content:
                    content.seek(start)
                    return content.read(stop - start)
            except FileNotFoundError:
                return b""

    def facts(self, digest: Digest) -> FileFacts | None:
        """See the port."""
        with files.translated(self._blob(digest)):
            content = self._open(digest)
            if content is None:
                return None
            with content:
                measured = hashlib.file_digest(content, "sha256").hexdigest()
                return FileFacts(content.tell(), Digest(f"sha256:{measured}"))

    def staged(self, digest: Digest) -> int:
        part = self._part(digest)
        with files.translated(part):
            try:
                return part.stat().st_size
            except FileNotFoundError:
                return 0

    def append(self, digest: Digest, content: bytes) -> None:
        part = self._part(digest)
        with files.translated(part), part.open("ab", buffering=0) as out:
            while content:  # a nearly full disk takes a piece only
                content = content[out.write(content) :]

    def complete(self, digest: Digest) -> None:
        part = self._part(digest)
        with self._naming, files.translated(part):
            if not self.has(digest):
                part.touch()  # an empty file has no first byte that would have made it
                files.sync_file(part)

    def keep(self, digest: Digest) -> None:
        with self._naming:
            if not self.has(digest):
                files.finalise(self._part(digest), self._blob(digest))

    def discard(self, digests: Iterable[Digest]) -> None:
        with files.translated(self._staging):
            for digest in digests:
                self._blob(digest).unlink(missing_ok=True)
                self._part(digest).unlink(missing_ok=True)

    def sweep(self, keep: Iterable[Digest]) -> None:
        kept = {hex_of(digest) for digest in keep}
        with files.translated(self._staging):
            for path in (*self._blobs.iterdir(), *self._staging.iterdir()):
                if path.name.removesuffix(_PART) not in kept:
                    path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        with files.translated(self._staging):
            disk = os.statvfs(self._staging)
        return disk.f_bavail * disk.f_frsize

    def used_bytes(self) -> int:
        with files.translated(self._staging):
            return sum(_size(path) for path in (*self._blobs.iterdir(), *self._staging.iterdir()))

    def _open(self, digest: Digest) -> BufferedReader | None:
        with self._naming:
            for path in (self._blob(digest), self._part(digest)):
                try:
                    return path.open("rb")
                except FileNotFoundError:
                    continue
        return None

    def _blob(self, digest: Digest) -> Path:
        return self._blobs / hex_of(digest)

    def _part(self, digest: Digest) -> Path:
        return self._staging / (hex_of(digest) + _PART)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a part that got its name, or went, meanwhile
        return 0
