"""`longshore get`: objects as a table, JSON or YAML; once, or again at each change."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

import click

from controlplane.cli import completing, kinds, naming, output, session
from controlplane.cli.client import Client, Document
from controlplane.cli.commands import detections, gaps
from controlplane.cli.exits import NotFound
from controlplane.cli.kinds import Kind
from controlplane.cli.patience import awaited
from protos.errors import Rejected

EXAMPLES = """List objects, or show the ones named.

\b
KIND is nodes, cameras, deployments, models, releases, recipes, runs, people or settings
(also: node, cam, deploy …), or all.
'detections' and 'gaps' (telemetry that was dropped) have options of their own: 'longshore get gaps --help'.

\b
Examples:
  longshore get nodes
  longshore get cameras -l site=harbour,!indoor -o wide
  longshore get deployment harbour -o yaml
  longshore get detections --since 1h -o csv
  longshore get gaps --since 7d             telemetry that boxes declared dropped
  longshore get cameras --watch             one line at each change, until Ctrl-C
"""
WATCH_SECONDS = 1.0
FORMATS = (*output.FORMATS, "name")


class Get(click.Command):
    """`get`, and what is no object but can be got, with options of its own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        own: click.Command | None = next(
            (each.command for each in (detections, gaps) if args and args[0] in each.WORDS), None
        )
        if own is not None:
            return own.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("get", help=EXAMPLES, cls=Get)
@click.argument("kind_word", metavar="KIND", shell_complete=completing.kind)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.name)
@click.option("-l", "--selector", default="", metavar="LABELS", help="Label selector: a=b,c!=d,e,!f,g in (x,y).")
@click.option("-o", "--output", "form", type=click.Choice(FORMATS), default="table", help="How to print it.")
@click.option("-w", "--watch", is_flag=True, help="Print again what changes, each second.")
def command(kind_word: str, names: tuple[str, ...], selector: str, form: str, *, watch: bool) -> None:
    kind_word, names = kinds.split((kind_word, *names))
    if names and selector:
        raise click.UsageError("Give names or --selector, not both.")
    if watch and form in {"json", "yaml", "name"}:
        raise Rejected("--watch prints a table; leave out -o, or use -o wide")
    if kind_word == "all":
        if watch or names:
            raise click.UsageError("'all' takes no names and no --watch; name one kind.")
        with session.client() as client:
            _show_all(client, selector, form)
        return
    kind = kinds.named(kind_word)
    with session.client() as client:
        found, missing = fetch(client, kind, names, selector)
        if watch:
            _watch(found, lambda: present(client, kind, names, selector), kind, form)
        else:
            if found or not missing:
                _show(kind, found, form, single=len(names) == 1)
            refuse_missing(missing)


def fetch(client: Client, kind: Kind, names: tuple[str, ...], selector: str) -> tuple[list[Document], list[NotFound]]:
    """What is there, and what is not: one that is missing stops no other."""
    if not names:
        return client.listed(kind.plural, selector), []
    found, missing = [], []
    for name in names:
        try:
            found.append(client.one(kind.plural, naming.release(name) if kind.plural == "releases" else name))
        except NotFound as error:
            missing.append(error)
    return found, missing


def refuse_missing(missing: list[NotFound]) -> None:
    """Raises NotFound when anything is missing; of several, each is told."""
    if len(missing) > 1:
        for error in missing:
            click.echo(str(error), err=True)
        raise NotFound(f"{len(missing)} of them are not there")
    if missing:
        raise missing[0]


def present(client: Client, kind: Kind, names: tuple[str, ...], selector: str) -> list[Document]:
    """As `fetch`, without the ones that are gone."""
    return fetch(client, kind, names, selector)[0]


def _show(kind: Kind, items: list[Document], form: str, *, single: bool) -> None:
    if form in {"json", "yaml"}:
        click.echo(output.structured(items[0] if single else output.listed(kind.name, items), form))
    elif form == "name":
        for item in items:
            click.echo(f"{kind.name.lower()}/{item['metadata']['name']}")
    elif not items:
        click.echo(f"no {kind.plural}", err=True)
    else:
        now = kinds.utc_now()
        rows = [kinds.row(kind, item, now, wide=form == "wide") for item in items]
        click.echo(output.table(kinds.titles(kind, wide=form == "wide"), rows, colour=output.coloured()))


def _show_all(client: Client, selector: str, form: str) -> None:
    found = {kind: client.listed(kind.plural, selector) for kind in kinds.KINDS}
    if form in {"json", "yaml"}:
        items = [item for listed in found.values() for item in listed]
        click.echo(output.structured(output.listed("", items), form))
        return
    if form == "name":
        for kind, items in found.items():
            _show(kind, items, form, single=False)
        return
    for number, (kind, items) in enumerate((kind, items) for kind, items in found.items() if items):
        click.echo(("\n" if number else "") + click.style(kind.plural, bold=output.coloured()))
        _show(kind, items, form, single=False)


def _watch(found: list[Document], load: Callable[[], list[Document]], kind: Kind, form: str) -> None:
    """Print what differs from the last look. A control plane that goes away is waited for."""
    seen: dict[str, list[str]] = {}
    widths: list[int] = []
    while True:
        now = kinds.utc_now()
        rows = {row[0]: row for row in (kinds.row(kind, item, now, wide=form == "wide") for item in found)}
        lines = [row for name, row in rows.items() if _stable(kind, form, seen.get(name)) != _stable(kind, form, row)]
        lines += [[name, "deleted", *[""] * (len(row) - 2)] for name, row in seen.items() if name not in rows]
        widths = _print(kinds.titles(kind, wide=form == "wide"), lines, widths)
        seen = rows
        sleep(WATCH_SECONDS)
        found = awaited(load, sleep)


def _stable(kind: Kind, form: str, row: list[str] | None) -> list[str] | None:
    """A row without the columns in which only time passes."""
    titles = kinds.titles(kind, wide=form == "wide")
    return [cell for cell, title in zip(row, titles, strict=True) if title not in {"AGE", "LAST SEEN"}] if row else None


def _print(titles: list[str], lines: list[list[str]], widths: list[int]) -> list[int]:
    """Print lines under the columns already printed; the head comes once."""
    if not lines:
        return widths
    if not widths:
        click.echo(output.table(titles, lines, colour=output.coloured()))
        return [max(len(line[i]) for line in (titles, *lines)) for i in range(len(titles))]
    for line in lines:
        cells = (output.one_line(cell).ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    return widths
