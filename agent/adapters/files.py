"""The one place that puts a file under its final name: whole and durable, or not at all.

Order: write beside the final path, fsync the file, rename, fsync the directory. A reader, and a boot after a power cut
at any point, sees the old content or the new one. Nobody else opens a final path for writing. Running out of space is
DiskFull; the old content is then intact and nothing is left beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from agent.errors import DiskFull
from protos.errors import Fatal, Retryable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_OURS_TO_MEND = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`.

    Raises:
        DiskFull: no space; the old content is intact.
        Fatal: this process may not write there.
    """
    beside = path.with_name(f".{path.name}.tmp")  # one writer per file; what a crash left there is overwritten
    with translated(path):
        beside.unlink(missing_ok=True)
        try:
            _write_durably(beside, content, mode)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def finalise(part: Path, final: Path) -> None:
    """Give the finished `part` its final name, durably. Both lie on one file system."""
    with translated(final):
        sync_file(part)
        part.replace(final)
        sync_directory(final.parent)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    sync_file(path)


def make_directory(path: Path, mode: int = 0o755) -> None:
    """`path` and its parents, each durable before its child is used."""
    with translated(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)
            sync_directory(folder.parent)


def check_writable(folder: Path) -> None:
    """Make `folder`, private, and prove that files can be written there. Raises Fatal, DiskFull, Retryable."""
    make_directory(folder, 0o700)
    with translated(folder):
        probe = folder / f".probe-{os.getpid()}"
        probe.touch(0o600)
        probe.unlink()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """OSError → our errors, once."""
    try:
        yield
    except OSError as error:
        raise _translate(error, path) from error


def _translate(error: OSError, path: Path) -> DiskFull | Fatal | Retryable:
    if error.errno in _NO_SPACE:
        return DiskFull(f"no space left for {path.parent}; free some and it goes on by itself")
    if error.errno in _OURS_TO_MEND:
        mend = "give the agent's user the state directory, or choose another with --state-dir"
        return Fatal(f"{path} cannot be used ({error.strerror}); {mend}")
    return Retryable(f"{path}: {error.strerror}")


def _write_durably(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
