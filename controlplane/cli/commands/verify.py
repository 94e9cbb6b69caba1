"""`longshore verify`: prove what is promised, against what is really stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from controlplane.cli import bars, completing, output, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.exits import Exit, NotFound
from protos.errors import Rejected

HELP = """Prove what Longshore promises, against what is really stored.

\b
Examples:
  longshore verify telemetry                no record lost, none twice, each gap exact
"""
TELEMETRY_HELP = """Recount the stored telemetry of boxes, and compare it with what they accepted.

For each box and class: accepted = stored + declared dropped + waiting; numbers without a hole up to the watermark, none
stored twice, each Gap exact, nothing unaccounted. The control plane counts the rows of its database in one snapshot, so
the fleet may go on meanwhile. What waits is no deviation. Exit code 1: there is a deviation; 3: try again.

\b
Examples:
  longshore verify telemetry                all boxes
  longshore verify telemetry quay-1 quay-2
  longshore verify telemetry -o json | jq '.deviations[]'
  longshore verify telemetry && echo nothing was lost
"""
SHOWN = 40  # boxes in the table; of more, only those with something to tell
_FIGURES = ("accepted", "stored", "dropped", "waiting", "unaccounted")
_TOLD = 50  # deviations of a table; JSON has all


@dataclass
class Checked:
    """One box, all parts together."""

    node: str
    total: Document
    lines: int = 0
    rows: int = 0
    swept: int = 0
    deviations: list[Document] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.deviations:
            return _many(len(self.deviations), "deviation", "deviations")
        return "true, under way" if self.total["waiting"] else "true"


@click.group("verify", help=HELP)
def command() -> None:
    pass


@command.command("telemetry", help=TELEMETRY_HELP)
@click.argument("names", nargs=-1, metavar="[NODE]...", shell_complete=completing.node)
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def telemetry(names: tuple[str, ...], form: str) -> None:
    with session.client() as client, bars.shares() as show:
        wanted = names or tuple(sorted(each["metadata"]["name"] for each in client.listed("nodes")))
        found = list(_each(client, wanted, show, named=bool(names)))
    deviations = [each for checked in found for each in checked.deviations]
    if form == "table":
        _show(found, deviations)
    else:
        click.echo(output.structured(_document(found, deviations), form))
    if deviations:
        click.get_current_context().exit(Exit.REJECTED)


def _each(
    client: Client, names: Sequence[str], show: Callable[[str, float], None], *, named: bool
) -> Iterator[Checked]:
    """One that was deleted meanwhile is left out.

    Raises:
        NotFound: one that was named is not there.
        Rejected: the control plane is of before 0.2.
    """
    for number, name in enumerate(names):
        show("recounting", number / len(names))
        try:
            yield _checked(client, name)
        except NotFound:
            if _there(client, name):
                raise Rejected("this control plane keeps no books of telemetry; update it to 0.2 or later") from None
            if named:
                raise
    show("recounting", 1.0)


def _there(client: Client, name: str) -> bool:
    try:
        client.one("nodes", name)
    except NotFound:
        return False
    return True


def _checked(client: Client, name: str) -> Checked:
    """Part after part, of which the control plane makes an answer of bounded work."""
    params: dict[str, Any] = {}
    checked: Checked | None = None
    while True:
        part = client.document("GET", address("nodes", name, "telemetry", "verification"), params=params)
        checked = checked or Checked(name, part["total"])
        checked.lines += part["lines"]
        checked.rows += part["rows"]
        checked.swept += part["swept"]
        checked.deviations += part["deviations"]
        if not part["metadata"]["continue"]:
            return checked
        params["continue"] = part["metadata"]["continue"]


def _sums(found: Iterable[Checked]) -> dict[str, int]:
    whole = Counter(dict.fromkeys((*_FIGURES, "rows", "swept", "lines"), 0))
    for each in found:
        told = {name: each.total[name] for name in _FIGURES}
        whole.update({**told, "rows": each.rows, "swept": each.swept, "lines": each.lines})
    return dict(whole)


def _document(found: Sequence[Checked], deviations: Sequence[Document]) -> Document:
    boxes = [
        {"node": each.node, **each.total, "lines": each.lines, "rows": each.rows, "swept": each.swept} for each in found
    ]
    return {"ok": not deviations, "total": _sums(found), "nodes": boxes, "deviations": list(deviations)}


def _show(found: Sequence[Checked], deviations: Sequence[Document]) -> None:
    if not found:
        click.echo("no boxes, so nothing to verify", err=True)
        return
    shown = [each for each in found if len(found) <= SHOWN or each.verdict != "true"]
    if shown:
        titles = ("NODE", *map(str.upper, _FIGURES), "RECOUNTED", "VERDICT")
        click.echo(output.table(titles, list(map(_row, shown)), colour=output.coloured()))
        click.echo()
    for each in deviations[:_TOLD]:
        of = f" {each['recordClass']}" if each["recordClass"] else ""
        where = f" (epoch {each['epoch'][:12]})" if each["epoch"] else ""
        click.echo(f"{each['node']}{of}: {each['code']}: {output.one_line(each['sentence'])}{where}")
    if len(deviations) > _TOLD:
        click.echo(f"and {len(deviations) - _TOLD} more; -o json has all")
    click.echo(_verdict(_sums(found), len(found), len(deviations)))


def _row(each: Checked) -> list[str]:
    figures = [str(each.total[name]) for name in _FIGURES]
    swept = f" (+{each.swept} past retention)" if each.swept else ""
    return [each.node, *figures, f"{each.rows}{swept}", each.verdict]


def _verdict(whole: dict[str, int], boxes: int, deviations: int) -> str:
    parts = [f"{whole['stored']} stored", f"{whole['dropped']} declared dropped", f"{whole['waiting']} waiting"]
    if whole["unaccounted"]:
        parts.append(f"{whole['unaccounted']} unaccounted")
    equation = f"{_many(boxes, 'box', 'boxes')}: {whole['accepted']} accepted = {' + '.join(parts)}"
    told = f"{equation}; {_many(whole['rows'], 'record', 'records')} recounted"
    if not deviations:
        return f"{told}; nothing is missing, nothing is twice"
    return f"{told}; {_many(deviations, 'deviation', 'deviations')}: docs/telemetry.md says what each means"


def _many(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
