"""Objects from files: YAML or JSON, one or many (`---`, or a List), from a path, a folder or standard input.

Each comes with its place, so that a refusal names the file and the document in it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from controlplane.cli.kinds import Kind, named, origin
from controlplane.written import WRITABLE, Written, parse
from protos.errors import Rejected

MAX_BYTES = 8 << 20  # of one file: objects are small, a larger file is a mistake
_SUFFIXES = {".yaml", ".yml", ".json"}


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


def identity(written: Written) -> tuple[Kind, str]:
    """Kind and name of an object to write. Raises Rejected, naming its place."""
    try:
        return _identity(written)
    except Rejected as error:
        raise Rejected(f"{written.place}: {error}") from error


def _identity(written: Written) -> tuple[Kind, str]:
    if not written.kind:
        raise Rejected(f"an object needs a kind; {', '.join(WRITABLE)} can be applied")
    kind = named(written.kind)
    if kind.name not in WRITABLE:
        raise Rejected(f"a {kind.name} is {origin(kind)}, not by 'apply'; {', '.join(WRITABLE)} can be applied")
    return kind, replace(written, document={**written.document, "kind": kind.name}).name
