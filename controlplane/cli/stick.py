"""A folder that is carried, as files are written to it: whole or not at all, also when it is pulled out. No network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from controlplane.files import PRIVATE, finalise, write_atomically
from protos import carried
from protos.errors import Rejected, Retryable
from protos.ids import Digest, hex_of

PIECE = 4 << 20  # bytes asked for at once
_OURS = (carried.METADATA, carried.BLOBS, carried.BOXES)  # folders in which nothing else has a place

Piece = Callable[[int, int], bytes]  # bytes from start to stop


class Stick:
    """Each method raises Rejected where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unfinished(self) -> None:
        """From now until `finish` no box takes it."""
        with self._writing():
            for each in (*_OURS, carried.REPORTS):
                (self._folder / each).mkdir(parents=True, exist_ok=True)
            (self._folder / carried.SUMS).unlink(missing_ok=True)

    def has(self, digest: Digest, name: str) -> bool:
        """Whether it is there, and right."""
        try:
            with (self._folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == hex_of(digest)
        except OSError:
            return False

    def read(self, name: str) -> bytes:
        with self._writing():
            return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        with self._writing():
            write_atomically(self._folder / name, content, PRIVATE)

    def fetch(self, digest: Digest, name: str, size: int, piece: Piece) -> int:
        """The file by pieces, from where an earlier try ended; bytes fetched.

        Raises:
            Retryable: it came damaged; nothing of it is kept.
        """
        path = self._folder / name
        part = path.with_name(f".{path.name}.part")
        with self._writing(), part.open("ab") as out:
            begun = done = min(out.tell(), size)
            out.truncate(done)
            while done < size:
                content = piece(done, min(done + PIECE, size))
                if not content:
                    raise Retryable(f"{name} ended before its {size} bytes; run the same once more")
                out.write(content)
                done += len(content)
        if not self.has(digest, f"{path.parent.relative_to(self._folder)}/{part.name}"):
            with self._writing():
                part.unlink(missing_ok=True)
            raise Retryable(f"{name} came damaged; run the same once more")
        with self._writing():
            finalise(part, path)
        return size - begun

    def finish(self, sums: Mapping[str, str]) -> None:
        """What is not in `sums` goes; then boxes may take it. `sums`: SHA-256 by name."""
        with self._writing():
            for folder in _OURS:
                for path in (self._folder / folder).iterdir():
                    if f"{folder}/{path.name}" not in sums and path.is_file():
                        path.unlink()
        text = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items()))
        self.write(carried.SUMS, text.encode())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Rejected(
                f"cannot write to {self._folder} ({error.strerror}); see that it is plugged in, not write-protected "
                "and has room (FAT holds no file above 4 GB), and run the same once more: it goes on"
            ) from error
