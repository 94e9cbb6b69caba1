"""Codes of a node's problems that both sides know; any other is a name for who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NOTICE = "notice"  # worth knowing, and calls nobody


def pressing(problems: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that call somebody, of a node's document."""
    return [each for each in problems if each.get("code") != NOTICE]


def notices(problems: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The others."""
    return [each for each in problems if each.get("code") == NOTICE]
