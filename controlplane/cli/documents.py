"""Objects from files: YAML or JSON, one or many (`---`, or a List), from a path, a folder or standard input.

Each comes with its place, so that a refusal names the file and the document in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.cli import plain_yaml
from controlplane.cli.kinds import WRITABLE, Kind, named, origin
from protos.errors import Rejected

MAX_BYTES = 8 << 20  # of one file: objects are small, a larger file is a mistake
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Written:
    """One object as somebody wrote it."""

    place: str  # "fleet.yaml, document 2"
    document: dict[str, Any]


def read(path: str) -> list[Written]:
    """The objects in `path`, in order; `-` is standard input, a folder gives its YAML and JSON files by name.

    Raises:
        Rejected: naming file and place of what is wrong.
    """
    if path == "-":
        return parse(_typed(), "standard input")
    place = Path(path)
    if place.is_dir():
        files = sorted(item for item in place.iterdir() if item.suffix in _SUFFIXES)
        if not files:
            raise Rejected(f"{path} holds no .yaml, .yml or .json file")
        return [document for item in files for document in parse(_text(item), str(item))]
    return parse(_text(place), path)


def _typed() -> str:
    try:
        text = sys.stdin.read(MAX_BYTES + 1)
    except UnicodeDecodeError as error:
        raise Rejected("standard input is not text; objects are written in YAML or JSON") from error
    if len(text) > MAX_BYTES:
        raise Rejected(f"standard input is larger than the {MAX_BYTES >> 20} MiB that objects may take")
    return text


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Rejected(f"{path} is larger than the {MAX_BYTES >> 20} MiB that objects may take")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(f"{path} is not text; objects are written in YAML or JSON") from error
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


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


def identity(written: Written) -> tuple[Kind, str]:
    """Kind and name of an object to write. Raises Rejected, naming its place."""
    try:
        return _identity(written.document)
    except Rejected as error:
        raise Rejected(f"{written.place}: {error}") from error


def _identity(document: dict[str, Any]) -> tuple[Kind, str]:
    if not document.get("kind"):
        raise Rejected(f"an object needs a kind; {', '.join(WRITABLE)} can be applied")
    kind = named(str(document["kind"]))
    if kind.name not in WRITABLE:
        raise Rejected(f"a {kind.name} is {origin(kind)}, not by 'apply'; {', '.join(WRITABLE)} can be applied")
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise Rejected(f"a {kind.name} has no metadata.name; give it one of a-z, 0-9 and '-'")
    return kind, name
