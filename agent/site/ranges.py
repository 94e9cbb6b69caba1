"""Which bytes of a file somebody asks for (RFC 9110, 14.2). Pure.

One range of bytes is understood; a header that says anything else is as good as none, as the RFC has it.
"""

from __future__ import annotations

import re

_ONE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")  # more digits than any file has are no range


def asked(header: str | None, size: int) -> tuple[int, int] | None:
    """Bytes [start, stop) of a file of `size` bytes; None: they lie behind its end."""
    found = _ONE.fullmatch(header.strip()) if header else None
    if found is None:
        return 0, size
    first, last, ending = found.groups()
    if ending is not None:
        return (max(0, size - int(ending)), size) if int(ending) and size else None
    if last and int(last) < int(first):
        return 0, size
    if int(first) >= size:
        return None
    return int(first), min(size, int(last) + 1) if last else size
