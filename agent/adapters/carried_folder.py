"""What was carried here, on this box's disk: `<state>/carried`, laid out as a stick is (protos.carried), beside

    state            what this box is told
    report.wanted    somebody waits for a report
    report           the newest that was asked for

`longshore-agent import` writes, the running agent reads. Files get their names whole (agent.adapters.files), and
timestamp.json last, so that an import that broke off changes nothing. A file of a stick is read only if it is a plain
one: a stick's links lead nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from agent.adapters import files
from agent.trust.errors import Absent, Untrusted
from protos import carried
from protos.errors import Rejected, Retryable
from protos.ids import Digest, hex_of

PRIVATE = 0o600  # credentials of cameras are in there
_CHUNK = 1 << 20


def read_plain(path: Path, most: int) -> bytes:
    """A plain file of at most `most` bytes.

    Raises:
        Absent: there is none.
        Retryable: it is longer, no plain file, or stopped being readable.
    """
    with opened(path) as file:
        content = _chunk(file, path, most + 1)
    if len(content) > most:
        raise Retryable(f"{path} has more than the {most} bytes it may have; run 'longshore export' again")
    return content


def opened(path: Path) -> BinaryIO:
    """Raises as `read_plain`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Absent(f"{path} is not there; copy the whole folder, or run 'longshore export' again") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise Retryable(f"{path} is no plain file; run 'longshore export' again")
    return file


def _chunk(file: BinaryIO, path: Path, most: int = _CHUNK) -> bytes:
    try:
        return file.read(most)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Retryable:
    if error.errno == errno.ELOOP:
        return Retryable(f"{path} is a link, which is not followed; run 'longshore export' again")
    return Retryable(f"{path} stopped being readable ({error.strerror}); plug it in again, and run the same once more")


class FolderMetadata:
    """See agent.trust.metadata.MetadataSource. `given`: what was handed out, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.given: dict[str, bytes] = {}

    @property
    def ready(self) -> bool:
        return (self._folder / carried.TIMESTAMP).is_file()

    async def get(self, name: str, most: int) -> bytes:
        """See the port. A first root is taken from no stick: whoever made the stick would be believed for ever."""
        if name == "root.json":
            raise Untrusted("this box trusts no root of signed metadata yet, and takes none by hand; join it again")
        if name != carried.TIMESTAMP and not carried.DOCUMENT.fullmatch(name):
            raise Absent(f"{name} is no name of signed metadata")
        self.given[name] = content = read_plain(self._folder / name, most)
        return content


class CarriedFolder:
    """Of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "carried"
        self.metadata = FolderMetadata(self.path / carried.METADATA)
        self._report, self._wanted = self.path / "report", self.path / "report.wanted"

    def make(self) -> None:
        """Raises Retryable, Fatal."""
        files.make_directory(self.path, 0o700)
        files.make_directory(self.path / carried.METADATA)
        files.make_directory(self.path / carried.BLOBS)

    # ---- what was brought ----

    def stamp(self) -> tuple[int, ...]:
        """Changes with each import."""
        return tuple(_changed(path) for path in (self.path / "state", self.path / carried.METADATA / carried.TIMESTAMP))

    def state(self) -> bytes:
        """Raises Absent, Retryable."""
        return read_plain(self.path / "state", carried.MOST_BYTES)

    def versions(self) -> tuple[int, int]:
        """Of the timestamp and of the highest root, unproven; 0: none."""
        folder = self.path / carried.METADATA
        timestamp = 0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            timestamp = int(json.loads((folder / carried.TIMESTAMP).read_bytes())["signed"]["version"])
        roots = (path.name.partition(".")[0] for path in folder.glob("*.root.json"))
        return timestamp, max((int(each) for each in roots if each.isdecimal()), default=0)

    def keep(self, state: bytes, metadata: dict[str, bytes]) -> None:
        """The proven files of one import, the timestamp last. Raises Retryable, Fatal: the disk."""
        folder = self.path / carried.METADATA
        for name, content in sorted(metadata.items(), key=lambda each: each[0] == carried.TIMESTAMP):
            if name == carried.TIMESTAMP:
                files.write_atomic(self.path / "state", state, PRIVATE)
            files.write_atomic(folder / name, content)
        with files.translated(folder):
            for path in folder.iterdir():
                if path.name not in metadata:
                    path.unlink(missing_ok=True)

    def has(self, digest: Digest) -> bool:
        return (self.path / carried.BLOBS / hex_of(digest)).is_file()

    def sound(self, digest: Digest) -> bool:
        """Whether the file is here and is what its name says; one that is not goes."""
        path = self.path / carried.BLOBS / hex_of(digest)
        try:
            with path.open("rb") as file:
                right = hashlib.file_digest(file, "sha256").hexdigest() == hex_of(digest)
        except OSError:
            return False
        if not right:
            with contextlib.suppress(OSError):
                path.unlink()
        return right

    def take(self, digest: Digest, source: Path, stick: BinaryIO) -> None:
        """Copy a file of a stick, proving it. `stick`: `source`, open.

        Raises:
            Rejected: it is not what its name says.
            Retryable: the stick. DiskFull, Fatal: this box's disk.
        """
        part = self.path / carried.BLOBS / f".{hex_of(digest)}.part"
        try:
            self._copy(digest, source, stick, part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        files.finalise(part, self.path / carried.BLOBS / hex_of(digest))

    def _copy(self, digest: Digest, source: Path, stick: BinaryIO, part: Path) -> None:
        measured = hashlib.sha256()
        with files.translated(part), part.open("wb") as out:
            while chunk := _chunk(stick, source):
                measured.update(chunk)
                out.write(chunk)
        if measured.hexdigest() != hex_of(digest):
            raise Rejected(
                f"{source} is not what its name says: it was changed, or the stick is damaged; nothing of it was kept: "
                "run 'longshore export' again, to another stick"
            )

    def keep_only(self, digests: Collection[Digest]) -> None:
        """Files of imports that were never installed go, and what a kill left half copied. Raises Retryable, Fatal."""
        names = {hex_of(digest) for digest in digests}
        with files.translated(self.path):
            for path in (self.path / carried.BLOBS).iterdir():
                if path.name not in names:
                    path.unlink(missing_ok=True)

    def drop(self, digests: Iterable[Digest]) -> None:
        with contextlib.suppress(OSError):
            for digest in digests:
                (self.path / carried.BLOBS / hex_of(digest)).unlink(missing_ok=True)

    def blobs(self) -> list[Digest]:
        try:
            found = [path.name for path in (self.path / carried.BLOBS).iterdir()]
        except OSError:
            return []
        return [Digest(f"sha256:{name}") for name in found if carried.BLOB.fullmatch(name)]

    # ---- what goes back ----

    def want_report(self) -> None:
        """Raises Retryable, Fatal."""
        with files.translated(self._wanted):
            self._wanted.touch(PRIVATE)

    @property
    def report_wanted(self) -> bool:
        return self._wanted.exists()

    def keep_report(self, content: bytes) -> None:
        """Raises Retryable, Fatal."""
        files.write_atomic(self._report, content, PRIVATE)
        with files.translated(self._wanted):
            self._wanted.unlink(missing_ok=True)

    def report(self) -> bytes:
        """Raises Absent, Retryable."""
        return read_plain(self._report, carried.MOST_BYTES)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
