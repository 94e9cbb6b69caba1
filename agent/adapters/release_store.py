"""ReleaseStore on disk: `blobs/sha256/<hex>` holds proven content only, `staging/<hex>.part` what is on its way.

A blob gets its name by rename, after its bytes were proven and synced (agent.adapters.files). A part may hold anything
after a power cut; it is hashed before it is kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
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
        files.make_directory(self._blobs)
        files.make_directory(self._staging)

    def has(self, digest: Digest) -> bool:
        return self._blob(digest).is_file()

    def read(self, digest: Digest) -> bytes:
        """See the port."""
        try:
            return self._blob(digest).read_bytes()
        except OSError as error:
            raise Damaged(f"{digest[:19]}… is not readable on this box's disk ({error.strerror})", (digest,)) from error

    def facts(self, digest: Digest) -> FileFacts | None:
        """See the port."""
        for path in (self._blob(digest), self._part(digest)):
            try:
                with path.open("rb") as content:
                    measured = hashlib.file_digest(content, "sha256").hexdigest()
                    return FileFacts(content.tell(), Digest(f"sha256:{measured}"))
            except OSError:
                continue  # not there, or not readable: the same to a caller who wants proof
        return None

    def staged(self, digest: Digest) -> int:
        try:
            return self._part(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, digest: Digest, content: bytes) -> None:
        part = self._part(digest)
        with files.translated(part), part.open("ab", buffering=0) as out:
            while content:  # a nearly full disk takes a piece only
                content = content[out.write(content) :]

    def complete(self, digest: Digest) -> None:
        part = self._part(digest)
        if self.has(digest):
            return
        with files.translated(part):
            part.touch()  # an empty file has no first byte that would have made it
            files.sync_file(part)

    def keep(self, digest: Digest) -> None:
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
        disk = os.statvfs(self._staging)
        return disk.f_bavail * disk.f_frsize

    def _blob(self, digest: Digest) -> Path:
        return self._blobs / hex_of(digest)

    def _part(self, digest: Digest) -> Path:
        return self._staging / (hex_of(digest) + _PART)
