"""JSON of which every element of a top-level list is known by its line.

Rules that hold here: the text is walked one level deep and each element handed to the standard decoder, so that what is
read is exactly what `json.loads` reads, at its speed.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protos.errors import Rejected

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclass(frozen=True)
class Element:
    line: int  # from 1
    value: Any


def lists_of(file: Path) -> dict[str, list[Element]]:
    """The top-level lists of a JSON object by name.

    Raises:
        Rejected: the file is no JSON object; the sentence names the line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        return _lists(text)
    except UnicodeDecodeError:
        raise Rejected(f"{file}: not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Rejected(f"{file}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise Rejected(f"{file}: not JSON that can be read: too deep") from None


def _lists(text: str) -> dict[str, list[Element]]:
    breaks = [at for at, letter in enumerate(text) if letter == "\n"]
    found: dict[str, list[Element]] = {}
    for name, at in _members(text):
        if text[at : at + 1] == "[":
            found[name] = [Element(bisect_right(breaks, start) + 1, value) for start, value in _elements(text, at)]
    return found


def _members(text: str) -> Iterator[tuple[str, int]]:
    """Name and start of each value of the object that `text` is; the whole of it is checked on the way."""
    at = _expect(text, _skip(text, 0), "{")
    while text[at : at + 1] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        yield str(name), at
        _, at = _DECODER.raw_decode(text, at)
        at = _next(text, _skip(text, at), "}")
    at = _skip(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("something follows the object", text, at)


def _elements(text: str, at: int) -> Iterator[tuple[int, Any]]:
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        start = at
        value, at = _DECODER.raw_decode(text, at)
        yield start, value
        at = _next(text, _skip(text, at), "]")


def _next(text: str, at: int, end: str) -> int:
    """Past a comma, or still before the end."""
    return at if text[at : at + 1] == end else _expect(text, at, ",")


def _expect(text: str, at: int, letter: str) -> int:
    if text[at : at + 1] != letter:
        raise json.JSONDecodeError(f"expected {letter!r}", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
