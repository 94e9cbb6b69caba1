"""BlobSource from a directory of files named by their SHA-256: a stick carried to a box that has no network.

It has no tables of chunks: reading a whole file costs no more here than finding out what of it is on the box.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from protos.errors import Retryable
from protos.ids import Digest, hex_of

CHUNK = 256 << 10  # bytes


class DirectoryBlobs:
    """See agent.ports.BlobSource. Looks for `<root>/<hex>`, then `<root>/sha256/<hex>`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def fetch(
        self, digest: Digest, offset: int, _rate: float = 0.0, /, *, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See the port."""
        path = self._find(digest)
        while content := await asyncio.to_thread(_read, path, offset, _piece(offset, stop)):
            offset += len(content)
            yield content

    async def table(self, digest: Digest, most: int) -> bytes | None:  # noqa: ARG002 - the port's signature
        """See the port."""
        return None

    def _find(self, digest: Digest) -> Path:
        with _translated(self._root):
            for folder in (self._root, self._root / "sha256"):
                path = folder / hex_of(digest)
                if path.is_file():
                    return path
            if not self._root.is_dir():
                raise Retryable(f"{self._root} is not there; plug it in again")
        raise Retryable(f"{self._root} holds no file {digest[:19]}…; copy the whole release to it")


def _piece(offset: int, stop: int | None) -> int:
    return CHUNK if stop is None else max(0, min(CHUNK, stop - offset))


def _read(path: Path, offset: int, count: int) -> bytes:
    with _translated(path), path.open("rb") as content:
        content.seek(offset)
        return content.read(count)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Retryable(f"{path} stopped being readable ({error.strerror}); plug it in again") from error
