"""`longshore diff`: what changed between two releases of the registry."""

from __future__ import annotations

from collections.abc import Iterator

import click

from controlplane.cli import completing, naming, output, session
from controlplane.cli.client import Document, address
from controlplane.cli.kinds import NONE, human_bytes

EXAMPLES = """What changed from one release of the registry to another: input, labels by number, variants, files, the
figures of their cards, and what their graphs are made of.

BEFORE and AFTER are NAME@VERSION, or names as 'longshore get releases' shows them.

\b
Examples:
  longshore diff harbour@1.0.0 harbour@1.1.0
  longshore diff harbour-1-0-0 harbour-1-1-0 --all
  longshore diff harbour@1.0.0 harbour@1.1.0 -o json
"""
SECTIONS = ("manifest", "input", "labels", "variants", "files", "figures", "graph", "operators")
TITLES = ("SECTION", "WHAT", "BEFORE", "AFTER", "CHANGE")


@click.command("diff", help=EXAMPLES)
@click.argument("before", shell_complete=completing.release)
@click.argument("after", shell_complete=completing.release)
@click.option("--all", "whole", is_flag=True, help="What is the same, too.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(before: str, after: str, *, whole: bool, form: str) -> None:
    with session.client() as client:
        path = address("releases", naming.release(after), "difference")
        found = client.document("GET", path, params={"from": naming.release(before)})
    rows = [TITLES, *_rows(found, whole=whole)]
    output.show(found, rows, form, none=f"nothing differs between {before} and {after}")


def _rows(found: Document, *, whole: bool) -> Iterator[list[str]]:
    for section in SECTIONS:
        for line in found[section]:
            if whole or line["change"] != "same":
                what = str(line.get("name") or line.get("path"))
                yield [section, what, _side(line["before"]), _side(line["after"]), line["change"]]


def _side(value: str | int | None) -> str:
    """Of files, their size."""
    return human_bytes(value) if isinstance(value, int) else value or NONE
