"""Releases as people name them: NAME@VERSION, which is the registry's whatever lies here, or as `get releases` does."""

from __future__ import annotations

from protos import ids
from protos.errors import InvalidName
from protos.ids import ModelName, Version


def named(text: str) -> tuple[ModelName, Version] | None:
    """Model and version, when `text` is NAME@VERSION."""
    try:
        return ids.release(text)
    except InvalidName:
        return None


def release(text: str) -> str:
    """The release's name as an object. Raises Rejected."""
    return ids.release_name(*ids.release(text)) if "@" in text else text
