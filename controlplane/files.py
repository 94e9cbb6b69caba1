"""The one way a small file of this plane gets its final name: temp beside it, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from protos.errors import Fatal

PRIVATE = 0o600


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put `content` at `path`, all or nothing, also across a power cut. `mode` holds from the first byte on."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def finalise(part: Path, path: Path) -> None:
    """Give the finished `part` its final name, durably. Both lie on one file system."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(folder: Path) -> Path:
    """`folder`, made if absent, closed to others. Raises Fatal when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Fatal(f"the folder {folder} cannot be used ({error.strerror}); choose another with --state") from error
    return folder


def private_bytes(path: Path, size: int = 32) -> bytes:
    """The random secret kept at `path`, made at the first call."""
    if not path.exists():
        write_atomically(path, secrets.token_bytes(size), PRIVATE)
    return path.read_bytes()
