"""The log of a Run on this machine, read as one: its files as run_keeper leaves them. It may take one away meanwhile.

A byte keeps its number whatever is left out before it, so that a reader goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from controlplane.adapters.run_keeper import pieces


def size(folder: Path) -> int:
    """Bytes that were printed; what was left out counts."""
    found = _spans(folder)
    return found[-1][1] if found else 0


def gap(folder: Path) -> tuple[int, int]:
    """First byte that was left out and the one after the last; the same twice when none was."""
    found = _spans(folder)
    return (found[0][1], found[1][0]) if len(found) > 1 else (0, 0)


def read(folder: Path, start: int, most: int) -> bytes:
    """At most `most` bytes from `start` on, up to the gap; nothing from within it."""
    content = b""
    for begin, end, path in _spans(folder):
        at = start + len(content)
        if begin <= at < end and len(content) < most:
            content += _part(path, at - begin, most - len(content))
    return content


def _spans(folder: Path) -> list[tuple[int, int, Path]]:
    found = []
    for begin, path in pieces(folder):
        try:
            found.append((begin, begin + path.stat().st_size, path))
        except FileNotFoundError:
            continue  # left out just now
    return found


def _part(path: Path, start: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(most)
    except FileNotFoundError:
        return b""
