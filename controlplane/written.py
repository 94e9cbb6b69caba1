"""Objects as people write them: YAML or JSON, one or many (`---`, or a List), each with its place. Pure.

A refusal names the place, so that somebody with a long file finds what is wrong in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane import plain_yaml
from protos.errors import Rejected

# What can be applied, and where each kind is written to: PUT /PLURAL/NAME.
WRITABLE: Mapping[str, str] = {
    "Node": "nodes",
    "Camera": "cameras",
    "Deployment": "deployments",
    "Person": "people",
    "Settings": "settings",
}


@dataclass(frozen=True)
class Written:
    """One object as somebody wrote it."""

    place: str  # "fleet.yaml, document 2"
    document: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.document.get("kind") or "")

    @property
    def name(self) -> str:
        """Raises Rejected."""
        metadata = self.document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str) or not name:
            raise Rejected(f"a {self.kind} has no metadata.name; give it one of a-z, 0-9 and '-'")
        return name


def parse(text: str, where: str) -> list[Written]:
    """The objects in `text`. Raises Rejected."""
    found = [each for place, value in plain_yaml.documents(text, where) for each in _objects(value, place)]
    if not found:
        raise Rejected(f"{where} holds no object")
    return found


def _objects(value: Any, place: str) -> Iterator[Written]:
    if value is None:
        return
    if not isinstance(value, dict):
        what = "a list; put '---' between objects, or make it a List" if isinstance(value, list) else "plain text"
        raise Rejected(f"{place}: an object with apiVersion, kind, metadata and spec is needed, and this is {what}")
    if str(value.get("kind") or "").endswith("List") and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"], 1):
            yield from _objects(item, f"{place}, item {number}")
    else:
        yield Written(place, value)
