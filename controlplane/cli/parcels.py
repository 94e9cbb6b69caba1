"""A release on this machine, as a folder or a tar: the manifest's bytes, and each file it names as a stream.

Nothing is unpacked to disk and no file is held in memory. Only plain files count: a link in a release is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from protos import manifest
from protos.errors import Rejected

MANIFEST = "manifest.json"


class Parcel(Protocol):
    """Where the parts of one release are read from."""

    def manifest_bytes(self) -> bytes:
        """The very bytes that will be pushed. Raises Rejected when there are none."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """A seekable stream of a file of the release. Raises Rejected when it is not there."""
        ...


class FolderParcel:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest_bytes(self) -> bytes:
        if not (self._folder / MANIFEST).is_file():
            raise Rejected(f"{self._folder} holds no {MANIFEST}; make a release with 'longshore package' first")
        with self.open(MANIFEST) as file:
            return _small(file, self._folder)

    def open(self, path: str) -> IO[bytes]:
        place = self._folder / path
        if place.is_symlink() or not place.is_file():
            raise Rejected(f"{place} is named in the manifest, but is no plain file; package the release again")
        try:
            return place.open("rb")
        except OSError as error:
            raise Rejected(f"cannot read {place}: {error.strerror}") from error


class TarParcel:
    """The manifest lies at the top of the tar or in its one folder; the files lie beside it."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        self._path = path
        self._tar = tar
        found = [name for name in tar.getnames() if PurePosixPath(name).name == MANIFEST]
        self._folder = PurePosixPath(min(found, key=len)).parent if found else None

    def manifest_bytes(self) -> bytes:
        if self._folder is None:
            raise Rejected(f"{self._path} holds no {MANIFEST}; make a release with 'longshore package' first")
        with self.open(MANIFEST) as file:
            return _small(file, self._path)

    def open(self, path: str) -> IO[bytes]:
        name = str((self._folder or PurePosixPath()) / path)
        for spelled in (name, f"./{name}"):
            try:
                member = self._tar.getmember(spelled)
            except KeyError:
                continue
            file = self._tar.extractfile(member) if member.isfile() else None
            if file is not None:
                return file
        raise Rejected(f"{self._path} holds no plain file {path}; package the release again")


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
        raise Rejected(f"{path} is not there; name a release folder or tar")
    if path.suffix == ".onnx":
        raise Rejected(
            f"{path} is a bare model; make a release of it first: longshore package {path} --name"
            f" {_name_of(path)} --version 1.0.0 -o {path.with_suffix('')}-release"
        )
    try:
        tar = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below; opening and reading fail in different ways
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Rejected(f"{path} is neither a release folder nor a tar of one") from error
    with tar:
        try:
            yield TarParcel(path, tar)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Rejected(f"{path} is a damaged tar; make it again") from error


def _name_of(path: Path) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in path.stem.lower()).strip("-") or "model"


def _small(file: IO[bytes], where: Path) -> bytes:
    content = file.read(manifest.MAX_BYTES + 1)
    if len(content) > manifest.MAX_BYTES:
        raise Rejected(f"{where}: {MANIFEST} is larger than {manifest.MAX_BYTES >> 20} MiB")
    return content
