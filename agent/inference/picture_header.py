"""Width and height of a JPEG or PNG from its header, before anything is decoded. Pure.

A 100-byte file may claim 65535×65535 pixels: its claim is read first, and refused when absurd. Only these two formats
pass; the decoder behind knows many more and none of them is needed.
"""

from __future__ import annotations

from agent.inference.errors import BadInput

MAX_PIXELS = 64 * 1024 * 1024  # 192 MB decoded; the largest cameras have 48 megapixels
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers: C0 to CF without DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn carry no length


def check(content: memoryview) -> tuple[int, int]:
    """Width and height, both positive and together sane.

    Raises:
        BadInput: not a JPEG or PNG, cut short before its size, or too large.
    """
    if len(content) >= 24 and bytes(content[:8]) == _PNG:
        width, height = _png(content)
    elif bytes(content[:3]) == _JPEG:
        width, height = _jpeg(content)
    else:
        raise BadInput("the picture is neither JPEG nor PNG; send one of the two")
    if width < 1 or height < 1:
        raise BadInput("the picture has no pixels")
    if width * height > MAX_PIXELS:
        raise BadInput(f"the picture claims {width}x{height} pixels, more than {MAX_PIXELS}; scale it down")
    return width, height


def _png(content: memoryview) -> tuple[int, int]:
    if bytes(content[12:16]) != b"IHDR":
        raise BadInput("the PNG picture is damaged: its first chunk is not a header")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _jpeg(content: memoryview) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
    raise BadInput("the JPEG picture is damaged: it ends before its size")
