"""How answers look: aligned tables, JSON, YAML. Colours only on a terminal and never with NO_COLOR.

Tables are plain columns with two spaces between, so that `awk` and `cut` work on them; JSON and YAML are the
documents as the server gave them. What boxes say is shown without its control characters: a terminal obeys those.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FORMATS = ("table", "wide", "json", "yaml")
_GOOD = {"True", "Online", "running", "Updated", "Running", "Succeeded"}
_BAD = {"Offline", "Failed", "refused", "retrying", "Refused", "NodeUnknown", "NodeIsCloud", "ReleaseMissing"}
_UNSURE = {
    "Updating",
    "Waiting",
    "Behind",
    "starting",
    "stalled",
    "paused",
    "unknown",
    "Joined",
    "NoBoxSelected",
    "Pending",
    "Preparing",
    "Publishing",
    "Cancelling",
}


def coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def shade(word: str) -> str | None:
    """The colour of a status word, if it is one."""
    for words, colour in ((_GOOD, "green"), (_BAD, "red"), (_UNSURE, "yellow")):
        if word in words:
            return colour
    return None


def one_line(text: str) -> str:
    """With control characters and line ends written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    rows = [[one_line(cell) for cell in row] for row in rows]
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


def listed(kind: str, items: Sequence[Any]) -> dict[str, Any]:
    """Many objects as one document: what every `-o json` and `-o yaml` of a list gives."""
    return {"apiVersion": "longshore/v1", "kind": f"{kind}List", "items": list(items)}


def structured(document: Any, form: str) -> str:
    return as_json(document) if form == "json" else as_yaml(document)


def show(document: dict[str, Any], rows: Sequence[Sequence[str]], form: str, *, none: str) -> None:
    """Rows, or their document, in `form`; `rows` begins with the titles. Without others, `none` is said on stderr."""
    if form != "table":
        click.echo(structured(document, form))
    elif len(rows) == 1:
        click.echo(none, err=True)
    else:
        click.echo(table(rows[0], rows[1:], colour=coloured()))
