"""JSON of which every element of a top-level list is known by its line.

Rules that hold here: the text is walked one level deep and each element handed to the standard decoder, so that what is
read is exactly what `json.loads` reads, at its speed.
"""

import json
import re
from bisect import bisect_right
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
    """The lists of the object that `text` is, the whole of it checked on the way."""
    breaks = [found.start() for found in re.finditer("\n", text)]
    lists: dict[str, list[Element]] = {}
    at = _expect(text, _skip(text, 0), "{")
    while text[at : at + 1] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _expect(text, _skip(text, at), ":")
        if text[at : at + 1] == "[":
            found, at = _elements(text, at)
            lists[str(name)] = [Element(bisect_right(breaks, start) + 1, value) for start, value in found]
        else:
            _, at = _DECODER.raw_decode(text, at)
        at = _next(text, _skip(text, at), "}")
    at = _skip(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("something follows the object", text, at)
    return lists


def _elements(text: str, at: int) -> tuple[list[tuple[int, Any]], int]:
    """Start and value of each element, and where the list ends."""
    found: list[tuple[int, Any]] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        start = at
        value, at = _DECODER.raw_decode(text, at)
        found.append((start, value))
        at = _next(text, _skip(text, at), "]")
    return found, at + 1


def _next(text: str, at: int, end: str) -> int:
    """Past a comma that something follows, or still before the end."""
    if text[at : at + 1] == end:
        return at
    at = _expect(text, at, ",")
    if text[at : at + 1] == end:
        raise json.JSONDecodeError(f"a comma before {end!r}", text, at)
    return at


def _expect(text: str, at: int, letter: str) -> int:
    if text[at : at + 1] != letter:
        raise json.JSONDecodeError(f"expected {letter!r}", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
