"""A release on this machine, as a folder or a tar: the manifest's bytes, and each file it names as a stream.

Nothing is unpacked to disk and no file is held in memory. A release holds plain files only: an archive with a link, a
device or a name that leads out of it is refused whole, whether the manifest names that entry or not.
"""

from __future__ import annotations

import lzma
import re
import shlex
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from protos import manifest
from protos.errors import Rejected

MANIFEST = "manifest.json"
MAX_MEMBERS = 10_000  # of a tar: a release has a handful
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)  # what tarfile and what it reads from raise
_NO_MANIFEST = f"holds no {MANIFEST}; make a release with 'longshore package' first"


class Stream:
    """A file of a release, opened: a read that fails is a sentence. Use as a context manager."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file = file
        self._where = where

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, most: int) -> bytes:
        with _whole(self._where):
            return self._file.read(most)

    def seek(self, offset: int) -> None:
        with _whole(self._where):
            self._file.seek(offset)


@contextmanager
def _whole(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise Rejected(f"{where} is damaged or broken off; make it again") from error


class Parcel(Protocol):
    """Where the parts of one release are read from."""

    def manifest_bytes(self) -> bytes:
        """The very bytes that will be pushed. Raises Rejected when there are none."""
        ...

    def open(self, path: str) -> Stream:
        """A seekable stream of a file of the release. Raises Rejected when it is not there."""
        ...


class FolderParcel:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest_bytes(self) -> bytes:
        if not (self._folder / MANIFEST).is_file():
            raise Rejected(f"{self._folder} {_NO_MANIFEST}")
        with self.open(MANIFEST) as file:
            return _small(file, self._folder)

    def open(self, path: str) -> Stream:
        place = self._folder / path
        if place.is_symlink() or not place.is_file():
            raise Rejected(f"{place} is named in the manifest, but is no plain file; package the release again")
        try:
            return Stream(place.open("rb"), str(place))
        except OSError as error:
            raise Rejected(f"cannot read {place}: {error.strerror}") from error


class TarParcel:
    """The manifest lies at the top of the tar or in its one folder; the files lie beside it."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        """Raises Rejected when the archive is damaged or holds what a release cannot."""
        self._path = path
        self._tar = tar
        with _whole(str(path)):
            self._members = {_checked(path, member): member for member in _listed(path, tar) if not member.isdir()}
        found = [name for name in self._members if name.name == MANIFEST]
        self._folder = min(found, key=lambda name: len(name.parts)).parent if found else None

    def manifest_bytes(self) -> bytes:
        if self._folder is None:
            raise Rejected(f"{self._path} {_NO_MANIFEST}")
        with self.open(MANIFEST) as file:
            return _small(file, self._path)

    def open(self, path: str) -> Stream:
        member = self._members.get((self._folder or PurePosixPath()) / path)
        with _whole(str(self._path)):
            file = self._tar.extractfile(member) if member else None
        if file is None:
            raise Rejected(f"{self._path} holds no plain file {path}; package the release again")
        return Stream(file, str(self._path))


def _listed(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(tar):
        if number == MAX_MEMBERS:
            raise Rejected(f"{path} holds more than {MAX_MEMBERS} entries, which no release does")
        yield member


def _checked(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """The name of a plain file, `./` taken off. Raises Rejected."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise Rejected(f"{path} holds {member.name!r}, a name that leads out of it; package the release again")
    if not member.isfile():
        what = "a link" if member.issym() or member.islnk() else "no plain file"
        raise Rejected(f"{path} holds {member.name!r}, {what}; put the file itself in its place")
    return name


@contextmanager
def opened(path: Path) -> Iterator[Parcel]:
    """The release at `path`.

    Raises:
        Rejected: there is none, with what to do about it.
    """
    if path.is_dir():
        yield FolderParcel(path)
        return
    if not path.is_file():
        what = "is neither a folder nor a plain file" if path.exists() else "is not there"
        raise Rejected(f"{path} {what}; name a release folder or tar")
    if path.suffix.lower() == ".onnx":
        raise Rejected(f"{path} is a bare model; make a release of it first: {_package_command(path)}")
    try:
        tar = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below
    except _DAMAGE as error:
        raise Rejected(f"{path} is neither a release folder nor a tar of one") from error
    with tar:
        yield TarParcel(path, tar)


def _package_command(path: Path) -> str:
    """To be copied into a shell as it stands."""
    target = path.with_name(f"{path.stem}-release")
    words = ["longshore", "package", str(path), "--name", _name_of(path), "--version", "1.0.0", "-o", str(target)]
    return shlex.join(words)


def _name_of(path: Path) -> str:
    return re.sub("[^a-z0-9]+", "-", path.stem.lower())[:60].strip("-") or "model"


def _small(file: Stream, where: Path) -> bytes:
    content = file.read(manifest.MAX_BYTES + 1)
    if len(content) > manifest.MAX_BYTES:
        raise Rejected(f"{where}: {MANIFEST} is larger than {manifest.MAX_BYTES >> 20} MiB")
    return content
