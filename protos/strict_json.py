"""Fields of a JSON document that somebody else wrote: each is what it must be, or refused in one sentence. Pure.

Nothing is converted: a number in quotes is no number, `true` is no 1. What a reader does not know is `rest`, which its
writer puts back where it stood.
"""

from __future__ import annotations

from typing import Any

from protos.errors import InvalidManifest

Json = dict[str, Any]


def text(item: Json, key: str) -> str:
    """Raises InvalidManifest, as all of these."""
    value = item.get(key)
    if not isinstance(value, str):
        raise InvalidManifest(f"manifest: {key!r} must be a string")
    return value


def number(item: Json, key: str, low: int, high: int) -> int:
    """A whole one, both ends allowed."""
    return whole(item.get(key), repr(key), low, high)


def whole(value: object, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidManifest(f"manifest: {what} must be a whole number from {low} to {high}")
    return value


def choice(item: Json, key: str, choices: tuple[str, ...]) -> str:
    value = text(item, key)
    if value not in choices:
        raise InvalidManifest(f"manifest: {key} {value!r} must be one of {', '.join(choices)}")
    return value


def thing(value: object, what: str) -> Json:
    if not isinstance(value, dict):
        raise InvalidManifest(f"manifest: {what!r} must be an object")
    return value


def items(document: Json, key: str) -> list[Json]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidManifest(f"manifest: {key!r} must be a list of objects")
    return value


def rest(item: Json, known: str) -> Json:
    """All but the fields that `known` names, apart by spaces."""
    return {key: value for key, value in item.items() if key not in known.split()}
