"""`longshore get detections`: what cameras saw, as a table, JSON, YAML or CSV. Pages are printed as they come.

A table shows the newest ones, unless more are asked for; the others are whole, however many there are: one page is held
in memory, never all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import click

from controlplane.cli import completing, kinds, output, session
from controlplane.cli.client import Document

HELP = """Show what cameras saw, newest first.

What is asked of a box (--label, --zone, --min-score) is asked of one box; the boxes that match are shown.

\b
Examples:
  longshore get detections --since 1h
  longshore get detections --camera gate --label boat --min-score 0.6
  longshore get detections --since 2026-11-23T08:00:00Z --until 2026-11-23T09:00:00Z -o csv > morning.csv
  longshore get detections --zone water-edge --since 1d -o json | jq '.items[].boxes'

\b
CSV has one line for each box, and one for a result without any, with these columns:
  at, node, camera, deployment, outcome, ran_on, latency_ms, label, score, x0, y0, x1, y1, zones, release, captured,
  frame, track, happened
"""
WORDS = kinds.DETECTIONS
TABLE_ROWS = 50  # unless --limit says otherwise
COLUMNS = (
    "at", "node", "camera", "deployment", "outcome", "ran_on", "latency_ms",
    "label", "score", "x0", "y0", "x1", "y1", "zones", "release", "captured", "frame", "track", "happened",
)  # fmt: skip
_NO_BOX: dict[str, Any] = {}


@click.command("detections", help=HELP)
@click.option("--since", default="1h", metavar="WHEN", help="How long ago (30m, 2d), or a moment (RFC 3339).")
@click.option("--until", default="", metavar="WHEN", help="The same; default: now.")
@click.option("--camera", default="", metavar="NAME", shell_complete=completing.camera)
@click.option("--node", default="", metavar="NAME", shell_complete=completing.node)
@click.option("--deployment", default="", metavar="NAME", shell_complete=completing.deployment)
@click.option("--label", default="", metavar="LABEL", help="Of a box.")
@click.option("--zone", default="", metavar="NAME", help="In which a box stands.")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, metavar="SCORE", help="Of a box, 0 to 1.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help=f"At most; default: {TABLE_ROWS} in a table, else all."
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "yaml", "csv"]),
    default="table",
    help="How to print it.",
)
def command(form: str, limit: int | None, **asked: Any) -> None:
    wanted = {_camel(key): value for key, value in asked.items() if value}
    most = TABLE_ROWS if limit is None and form == "table" else limit
    with session.client() as client:
        found = client.pages("/detections", wanted, most)
        if form == "table":
            _show(list(found), limit)
        else:
            _WRITERS[form](found)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(map(str.capitalize, rest))


def _show(found: list[Document], limit: int | None) -> None:
    if not found:
        click.echo(
            "no detections; ask for more with --since, or see 'longshore get cameras' for what is running", err=True
        )
        return
    titles = ("AT", "CAMERA", "NODE", "DEPLOYMENT", "WHAT", "ZONES", "HAPPENED", "RAN ON", "LATENCY")
    click.echo(output.table(titles, [_row(item) for item in found], colour=output.coloured()))
    if limit is None and len(found) == TABLE_ROWS:
        click.echo(f"the newest {TABLE_ROWS}; --limit shows more, -o csv and -o json all of them", err=True)


def _row(item: Document) -> list[str]:
    zones = dict.fromkeys(zone for box in item["boxes"] for zone in box["zones"])
    return [
        item["at"],
        item["camera"],
        item["node"],
        item["deployment"],
        seen(item["boxes"]),
        ",".join(zones) or kinds.NONE,
        ", ".join(map(told, item["happened"])) or kinds.NONE,
        item["ranOn"],
        f"{item['latencySeconds'] * 1000:.0f} ms",
    ]


def told(happening: Document) -> str:
    """Such as `person #12 crossed gate left-to-right` or `boat #3 dwelt in berth 30 s`."""
    who = f"{happening['label']} #{happening['track']} {happening['what']}"
    if happening["line"]:
        return f"{who} {happening['line']} {happening['direction']}"
    where = f"{who} in {happening['zone']}" if happening["what"] == "dwelt" else f"{who} {happening['zone']}"
    return where if happening["seconds"] is None else f"{where} {happening['seconds']:.0f} s"


def seen(boxes: Iterable[Document]) -> str:
    """Each label once, with how many there are and the best score: `3 boat 0.91, person 0.62`."""
    best: dict[str, list[float]] = {}
    for box in boxes:
        best.setdefault(box["label"], []).append(box["score"])
    told = (f"{len(scores)} {label}" if len(scores) > 1 else label for label, scores in best.items())
    return ", ".join(f"{what} {max(best[label]):.2f}" for what, label in zip(told, best, strict=True)) or kinds.NONE


def _write_json(found: Iterable[Document]) -> None:
    """One document, an item a line, written as they come."""
    click.echo('{"apiVersion": "longshore/v1", "kind": "DetectionList", "items": [', nl=False)
    for number, item in enumerate(found):
        click.echo(("," if number else "") + "\n" + json.dumps(item, ensure_ascii=False), nl=False)
    click.echo("\n]}")


def _write_yaml(found: Iterable[Document]) -> None:
    """The same document; `items` is written as a list only when there is one."""
    first = next(found := iter(found), None)
    click.echo(f"apiVersion: longshore/v1\nkind: DetectionList\nitems:{' []' if first is None else ''}")
    for item in () if first is None else chain([first], found):
        click.echo(output.as_yaml([item]))


def _write_csv(found: Iterable[Document]) -> None:
    click.echo(",".join(COLUMNS))
    for item in found:
        for box in item["boxes"] or [_NO_BOX]:
            click.echo(_line(item, box), nl=False)


def _line(item: Document, box: Mapping[str, Any]) -> str:
    frame = [item["at"], item["node"], item["camera"], item["deployment"], item["outcome"], item["ranOn"]]
    latency = f"{item['latencySeconds'] * 1000:.1f}"
    sight = [box.get(key, "") for key in ("label", "score", "x0", "y0", "x1", "y1")]
    rest = [" ".join(box.get("zones", ())), item["releaseDigest"], item["captured"], item["frameSeq"]]
    things = [box.get("track") or "", "; ".join(map(told, item["happened"]))]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([*frame, latency, *sight, *rest, *things])
    return text.getvalue()


_WRITERS = {"json": _write_json, "yaml": _write_yaml, "csv": _write_csv}
