"""`longshore get gaps`: telemetry that boxes declared dropped, as a table, JSON or YAML."""

from __future__ import annotations

import click

from controlplane.cli import completing, kinds, output, session
from controlplane.cli.client import Document
from controlplane.cli.kinds import GAPS as WORDS

__all__ = ["WORDS", "command"]

HELP = """Show telemetry that boxes declared dropped, newest first: which numbers, of which class, and why.

A record that the control plane refused stands here too, as one.

\b
Examples:
  longshore get gaps
  longshore get gaps --node quay-1 --class detection --since 7d
  longshore get gaps --reason damaged -o json
"""
TABLE_ROWS = 50  # unless --limit says otherwise
CLASSES = ("alarm", "detection", "metric", "debug")
OLDER = ("camera", "frame", "outcomes", "node")  # as agents before 0.2 name them


@click.command("gaps", help=HELP)
@click.option("--since", default="30d", show_default=True, metavar="WHEN", help="How long ago, or a moment (RFC 3339).")
@click.option("--until", default="", metavar="WHEN", help="The same; default: now.")
@click.option("--node", default="", metavar="NAME", shell_complete=completing.node)
@click.option(
    "--class",
    "record_class",
    type=click.Choice((*CLASSES, *OLDER)),
    default=None,
    metavar="CLASS",
    help=f"One of {', '.join(CLASSES)}; before 0.2: {', '.join(OLDER)}.",
)
@click.option("--reason", default="", metavar="TEXT", help="Part of the reason.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"At most; default: {TABLE_ROWS}, else all.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(form: str, limit: int | None, record_class: str | None, **asked: str) -> None:
    wanted = {key: text for key, text in {**asked, "class": record_class}.items() if text}
    most = TABLE_ROWS if limit is None and form == "table" else limit
    with session.client() as client:
        found = list(client.pages("/gaps", wanted, most))
        if asked["node"] and not found:
            client.one("nodes", asked["node"])  # "no gaps" of a box that is not there would sound like good news
    if form != "table":
        click.echo(output.structured(output.listed("GapRecord", found), form))
    elif not found:
        click.echo("no gaps: nothing was declared dropped in this time", err=True)
    else:
        titles = ("AT", "NODE", "CLASS", "RECORDS", "NUMBERS", "EPOCH", "REASON")
        click.echo(output.table(titles, list(map(_row, found)), colour=output.coloured()))
        if limit is None and len(found) == TABLE_ROWS:
            click.echo(f"the newest {TABLE_ROWS}; --limit shows more, -o json all of them", err=True)


def _row(item: Document) -> list[str]:
    records = f"{'≥ ' if item['lowerBound'] else ''}{item['dropped']}"
    numbers = str(item["first"]) if item["first"] == item["last"] else f"{item['first']}–{item['last']}"
    told = [item["at"], item["node"], item["recordClass"] or kinds.NONE, records, numbers, item["epoch"][:12]]
    return [*told, item["reason"]]
