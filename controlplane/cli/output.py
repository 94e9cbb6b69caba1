"""How answers look: aligned tables, JSON, YAML. Colours only on a terminal and never with NO_COLOR.

Tables are plain columns with two spaces between, so that `awk` and `cut` work on them; JSON and YAML are the
documents as the server gave them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

FORMATS = ("table", "wide", "json", "yaml")
_GOOD = {"True", "Online", "running", "Updated", "Running"}
_BAD = {"Offline", "Failed", "refused", "retrying", "Refused", "NodeUnknown", "NodeIsCloud", "ReleaseMissing"}
_UNSURE = {"Updating", "Waiting", "Behind", "starting", "stalled", "paused", "unknown", "Joined", "NoBoxSelected"}


def coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def shade(word: str) -> str | None:
    """The colour of a status word, if it is one."""
    for words, colour in ((_GOOD, "green"), (_BAD, "red"), (_UNSURE, "yellow")):
        if word in words:
            return colour
    return None


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(len(line[i]) for line in (titles, *rows)) for i in range(len(titles))]
    head = "  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True)).rstrip()
    lines = [click.style(head, bold=True, dim=True) if colour else head]
    lines += [_line(row, widths, colour=colour) for row in rows]
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], *, colour: bool) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    cells[-1] = cells[-1].rstrip()
    if colour:
        cells = [click.style(cell, fg=shade(cell.strip())) if shade(cell.strip()) else cell for cell in cells]
        cells[0] = click.style(cells[0], bold=True)
    return "  ".join(cells).rstrip()


def as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_yaml(document: Any) -> str:
    import yaml

    dumped: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return dumped.rstrip("\n")


def structured(document: Any, form: str) -> str:
    return as_json(document) if form == "json" else as_yaml(document)
