"""One HTTP byte range (RFC 9110 §14), pure. Several ranges at once are answered with the whole, as the RFC allows."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)  # longer numbers are no place in any file


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of `size`."""

    start: int
    stop: int
    size: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return self.length == self.size

    @property
    def header(self) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def requested(header: str | None, size: int) -> Span | None:
    """The span to answer with; None when it lies outside of the file."""
    found = _ONE.fullmatch(header.replace(" ", "")) if header else None
    if not found or found[0] == "bytes=-":
        return Span(0, size, size)
    first, last = found[1], found[2]
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
    return Span(start, stop, size) if start < stop else None
