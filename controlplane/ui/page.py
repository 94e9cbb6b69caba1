"""What every page is made of. Pure.

A View has two parts. Its *facts* (which things there are, and what they are set to) are rendered by the template; when
they change, the page fetches itself again. Its *values* are small texts and numbers by key, such as `camera.gate.rate`;
they change every second, and only those that changed travel. One function makes both, so that the page as served and
the page kept alive can't differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
Value = str | int | float | bool | None | list[Any] | dict[str, Any]
Values = dict[str, Value]


@dataclass(frozen=True)
class Crumb:
    """A step on the way here, above the title."""

    word: str
    href: str


@dataclass(frozen=True)
class Asked:
    """The address of a page: what stood in the place of {name} in its path, and what followed the question mark."""

    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.names["name"]


@dataclass(frozen=True)
class View:
    """One page at one moment. `section` is the part of the navigation that it belongs to."""

    template: str
    title: str
    section: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    crumbs: tuple[Crumb, ...] = ()
    cameras: tuple[str, ...] = ()  # whose pictures it may show

    @property
    def shape(self) -> str:
        """Changes when the page has to be rendered again."""
        shaped = json.dumps([self.title, self.facts], sort_keys=True, default=_plain)
        return hashlib.sha256(shaped.encode()).hexdigest()[:16]


def changed(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """What has to be told to who knows `before`."""
    return {key: value for key, value in after.items() if key not in before or before[key] != value}


def _plain(value: Any) -> Any:
    """Tuples and frozen dataclasses stand among facts."""
    return vars(value) if hasattr(value, "__dict__") else list(value)
