"""Objects from files: YAML or JSON, one or many (`---`, or a List), from a path, a folder or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane.cli.kinds import WRITABLE, Kind, named
from protos.errors import Rejected

Document = dict[str, Any]
MAX_BYTES = 8 << 20  # of one file: objects are small, a larger file is a mistake
_SUFFIXES = {".yaml", ".yml", ".json"}


def read(path: str) -> list[Document]:
    """The objects in `path`, in order; `-` is standard input, a folder gives its YAML and JSON files by name.

    Raises:
        Rejected: naming file and place of what is wrong.
    """
    if path == "-":
        return parse(sys.stdin.read(), "standard input")
    place = Path(path)
    if place.is_dir():
        files = sorted(item for item in place.iterdir() if item.suffix in _SUFFIXES)
        if not files:
            raise Rejected(f"{path} holds no .yaml, .yml or .json file")
        return [document for item in files for document in parse(_text(item), str(item))]
    return parse(_text(place), path)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Rejected(f"{path} is larger than the {MAX_BYTES >> 20} MiB that objects may take")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(f"{path} is not text; objects are written in YAML or JSON") from error
    except OSError as error:
        raise Rejected(f"cannot read {path}: {error.strerror}") from error


def parse(text: str, where: str) -> list[Document]:
    """The objects in `text`. Raises Rejected."""
    import yaml

    try:
        found = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise Rejected(f"{where}{line} is not YAML: {getattr(error, 'problem', None) or 'unreadable'}") from error
    documents = list(_flattened(found, where))
    if not documents:
        raise Rejected(f"{where} holds no object")
    return documents


def _flattened(found: list[Any], where: str) -> Iterator[Document]:
    for number, item in enumerate(found, 1):
        if item is None:
            continue
        if not isinstance(item, dict):
            raise Rejected(f"{where}, document {number}: an object with apiVersion, kind, metadata and spec is needed")
        if str(item.get("kind", "")).endswith("List") and isinstance(item.get("items"), list):
            yield from _flattened(item["items"], where)
        else:
            yield item


def identity(document: Document) -> tuple[Kind, str]:
    """Kind and name of an object to write. Raises Rejected."""
    kind = named(str(document.get("kind") or ""))
    if kind.name not in WRITABLE:
        raise Rejected(
            f"a {kind.name} is made by 'longshore push', not by 'apply'; {', '.join(WRITABLE)} can be applied"
        )
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise Rejected(f"a {kind.name} has no metadata.name; give it one of a-z, 0-9 and '-'")
    return kind, name
