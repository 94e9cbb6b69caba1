"""Reading what people write in a `spec`: field by field, each refusal names the field and how to write it. Pure.

An unknown field is refused, because it is a typo of a known one more often than anything else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from controlplane.fleet import quantities
from protos.errors import Rejected

T = TypeVar("T")


class Fields:
    """Reads a mapping field by field; nothing that was read is used before `done`, which refuses what nobody asked for,
    and then what is missing: a field that is there under a slip of a name is both.
    """

    def __init__(self, value: object, where: str) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise Rejected(f"{where} must be an object")
        self._left = dict(value or {})
        self._known: list[str] = []
        self._missing: list[str] = []
        self.where = where

    def take(self, key: str, read: Callable[[object, str], T], default: T) -> T:
        self._known.append(key)
        value = self._left.pop(key, None)
        return default if value is None else read(value, f"{self.where}.{key}")

    def need(self, key: str, read: Callable[[object, str], T]) -> T:
        if self._left.get(key) is None:
            self._missing.append(key)
        return self.take(key, read, default=cast("T", None))  # nobody gets to see that: `done` raises

    def done(self) -> None:
        """Raises Rejected: a field that is none, or one that is missing."""
        for key in self._left:
            raise Rejected(f"{self.where}.{key} is no field here; {self._hint(str(key))}")
        for key in self._missing:
            raise Rejected(f"{self.where}.{key} is needed")

    def _hint(self, unknown: str) -> str:
        close = difflib.get_close_matches(unknown, self._known, n=1)
        return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(self._known))}"


def text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise Rejected(f"{where} must be a string; put quotes round {value!r}")
    return value


def flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise Rejected(f"{where} must be true or false")
    return value


def number(low: float, high: float) -> Callable[[object, str], float]:
    def read(value: object, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Rejected(f"{where} must be a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Callable[[object, str], int]:
    def read(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Rejected(f"{where} must be a whole number from {low} to {high}")
        return value

    return read


def duration(low_ms: int, high_ms: int) -> Callable[[object, str], int]:
    def read(value: object, where: str) -> int:
        milliseconds = quantities.duration_ms(value, where)
        if not low_ms <= milliseconds <= high_ms:
            bounds = f"{quantities.duration_text(low_ms)} to {quantities.duration_text(high_ms)}"
            raise Rejected(f"{where} must be from {bounds}")
        return milliseconds

    return read
