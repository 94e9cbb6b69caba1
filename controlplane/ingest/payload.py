"""What a telemetry payload is, by its first byte: protobuf, JSON, or zlib around either. Pure.

No payload takes more than MOST_BYTES of memory to look into, whatever it claims.
"""

from __future__ import annotations

import re
import zlib

from protos.errors import Rejected

ZLIB = 0x78
MOST_BYTES = 8 << 20  # of one, unpacked
_HISTORICAL = re.compile(rb'"historical"\s*:\s*true\b')


def unpacked(payload: bytes) -> bytes:
    """Raises Rejected: no zlib stream, not all of one, or one that does not end in time."""
    if payload[:1] != bytes([ZLIB]):
        return payload
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(payload, MOST_BYTES)
    except zlib.error as error:
        raise Rejected("a message on the telemetry topic is damaged: it can't be unpacked") from error
    if not stream.eof:
        raise Rejected(f"a message on the telemetry topic is not whole, or more than {MOST_BYTES} bytes unpacked")
    return content


def is_json(content: bytes) -> bool:
    return content[:1] == b"{"


def says_historical(content: bytes) -> bool:
    """Of JSON: no other field of ours is a truth of that name, and in a text its quotes would be escaped."""
    return _HISTORICAL.search(content) is not None
