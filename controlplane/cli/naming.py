"""Releases as people name them: NAME@VERSION, which is the registry's whatever lies here, or as `get releases` does."""

from __future__ import annotations

import re

from protos.ids import model_name, release_name, version

_NAMED = re.compile(r"([a-z0-9][a-z0-9-]*)@([^/]+)")


def named(text: str) -> tuple[str, str] | None:
    """Model and version, when `text` is NAME@VERSION."""
    match = _NAMED.fullmatch(text)
    return (match[1], match[2]) if match else None


def release(text: str) -> str:
    """The release's name as an object. Raises Rejected."""
    wished = named(text)
    return release_name(model_name(wished[0]), version(wished[1])) if wished else text
