"""The archive on disk: written with digests on the way, proven before anything of it is used."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from controlplane.backup.contents import MANIFEST, Entry, Manifest, parsed, unsafe
from controlplane.files import sync_folder
from protos.errors import Fatal, Rejected, Retryable

CHUNK = 1 << 20
PRIVATE = 0o600
Progress = Callable[[int, int], None]  # bytes done, of so many


class Writer:
    """Adds files; what was added is in `files`."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.files: dict[str, Entry] = {}

    def add(self, path: Path, name: str, progress: Callable[[int], None]) -> None:
        """Raises Retryable when the file goes away or changes its length meanwhile."""
        try:
            with path.open("rb") as file:
                about = self._archive.gettarinfo(arcname=name, fileobj=file)
                about.uid = about.gid = 0
                about.uname = about.gname = ""
                hashed = _Hashing(file, progress)
                self._archive.addfile(about, hashed)
        except FileNotFoundError as error:
            raise Retryable(f"{path.name} went away while it was copied; run the backup again") from error
        except OSError as error:
            raise _disk(error, "write the backup") from error
        self.files[name] = Entry(hashed.digest, about.size, about.mode & 0o777)

    def finish(self, manifest: Manifest) -> None:
        content = manifest.to_bytes()
        about = tarfile.TarInfo(MANIFEST)
        about.size, about.mode = len(content), PRIVATE
        self._archive.addfile(about, io.BytesIO(content))


class _Hashing:
    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file, self._progress, self._hash = file, progress, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._hash.update(content)
        self._progress(len(content))
        return content

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """`target` appears when the block ends well, readable by its owner only. Raises Rejected when it is there."""
    if target.exists():
        raise Rejected(f"{target} is there already; choose another name, or move it away first")
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except OSError as error:
        raise _disk(error, f"write {target}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                yield Writer(archive)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        sync_folder(target.absolute().parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def manifest_of(source: Path) -> Manifest:
    """What the backup says of itself. Raises Rejected."""
    with _reading(source) as archive:
        try:
            member = archive.extractfile(archive.getmember(MANIFEST))
        except KeyError as error:
            raise Rejected(f"{source} is no backup of Longshore, or it was cut short") from error
        assert member is not None
        return parsed(member.read())


def prove(source: Path, manifest: Manifest, progress: Progress) -> None:
    """Read everything. Raises Rejected when any byte is not what the manifest says."""
    done, seen = 0, set()
    with _reading(source) as archive:
        for member in archive:
            if member.name == MANIFEST:
                continue
            entry = manifest.files.get(member.name)
            if entry is None or unsafe(member.name) or not member.isreg() or member.name in seen:
                raise Rejected(f"{source} holds {member.name!r}, which does not belong there; it was tampered with")
            if _digest(archive, member) != entry.sha256:
                raise Rejected(f"{source} is damaged: {member.name} is not what was backed up; use another backup")
            seen.add(member.name)
            done += member.size
            progress(done, manifest.size)
    if lost := manifest.files.keys() - seen:
        raise Rejected(f"{source} is damaged: {min(lost)} is missing; use another backup")


def unpack(source: Path, manifest: Manifest, place: Callable[[str], Path | None], progress: Progress) -> None:
    """Each file to where `place` says, durably. Proven again on the way: the archive may have changed since."""
    done = 0
    with _reading(source) as archive:
        for name, entry in manifest.files.items():
            target = place(name)
            if target is not None:
                _write(archive, name, target, entry)
            done += entry.size
            progress(done, manifest.size)


def _write(archive: tarfile.TarFile, name: str, target: Path, entry: Entry) -> None:
    hashed = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode & 0o700 | entry.mode & 0o044)
        with os.fdopen(handle, "wb") as file:
            for chunk in _chunks(archive, archive.getmember(name)):
                hashed.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _disk(error, f"write {target}") from error
    if hashed.hexdigest() != entry.sha256:
        raise Rejected(f"{name} changed while the backup was read; nothing was restored")


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    hashed = hashlib.sha256()
    for chunk in _chunks(archive, member):
        hashed.update(chunk)
    return hashed.hexdigest()


def _chunks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    while file is not None and (chunk := file.read(CHUNK)):
        yield chunk


@contextmanager
def _reading(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode="r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise Rejected(f"{source} is no backup of Longshore, or it was cut short") from error
    except OSError as error:
        raise Rejected(f"cannot read {source} ({error.strerror or error}); see that it is the backup's file") from error


def _disk(error: OSError, what: str) -> Fatal:
    return Fatal(f"cannot {what} ({error.strerror or error}); see that there is room and that you may write there")
