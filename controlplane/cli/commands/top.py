"""`longshore top`: rates, latency, outcomes and where inference ran, live on a terminal or once for a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from controlplane.cli import output, rates, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.exits import NotFound
from controlplane.cli.rates import Look
from protos.errors import Retryable

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES = f"""Live rates, latency and outcomes of the fleet, over the last {rates.WINDOW_SECONDS} seconds.

\b
Shares are of all frames due at the cameras' configured rates. IN TIME: answered by the deadline, here (LOCAL) or in
the CLOUD. LOST: superseded by a newer frame, shed, expired, late from the cloud, or failed.

\b
Examples:
  longshore top
  longshore top -l site=harbour
  longshore top --once                      one look, for scripts
  longshore top -o json | jq .items
"""
REFRESH_SECONDS = 1.0
_STATS_EVERY = 5  # refreshes: boxes tell what they spend every few seconds, and it is one request per box


@click.command("top", help=EXAMPLES)
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only boxes and cameras with these labels.")
@click.option("--once", is_flag=True, help="Print once and end.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(selector: str, form: str, *, once: bool) -> None:
    with session.client() as client:
        look = _fetch(client, selector, _stats(client, selector))
        if form != "table":
            click.echo(output.structured(output.listed("Metrics", rates.metrics(look)), form))
        elif once or not sys.stdout.isatty():
            click.echo(_plain(look))
        else:
            _live(client, selector, look)


def _fetch(client: Client, selector: str, stats: Mapping[str, Any]) -> Look:
    window = f"{rates.WINDOW_SECONDS}s"
    return Look(
        nodes=client.listed("nodes", selector),
        cameras=client.listed("cameras", selector),
        outcomes=client.document("GET", "/outcomes", params={"since": window, "step": window}),
        stats=stats,
        selected=bool(selector),
    )


def _stats(client: Client, selector: str) -> dict[str, Document]:
    """What each box last said it spends."""
    found: dict[str, Document] = {}
    for node in client.listed("nodes", selector):
        name = str(node["metadata"]["name"])
        with suppress(NotFound):  # deleted between two requests
            told = client.document("GET", address("nodes", name, "stats"), params={"since": "1m", "limit": 1})
            if told["items"]:
                found[name] = told["items"][0]
    return found


def _plain(look: Look) -> str:
    tables = ((rates.NODE_TITLES, rates.node_rows(look)), (rates.CAMERA_TITLES, rates.camera_rows(look)))
    shown = [output.table(titles, rows, colour=output.coloured()) for titles, rows in tables if rows]
    return "\n\n".join([rates.headline(look), *shown])


def _live(client: Client, selector: str, look: Look) -> None:
    from rich.live import Live

    stats, refreshes = look.stats, 0
    with Live(_drawn(look, ""), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            refreshes += 1
            problem = ""
            try:
                stats = _stats(client, selector) if refreshes % _STATS_EVERY == 0 else stats
                look = _fetch(client, selector, stats)
            except Retryable as error:
                problem = str(error)
            live.update(_drawn(look, problem), refresh=True)


def _drawn(look: Look, problem: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    foot = Text(problem, style="red") if problem else Text("Ctrl-C ends it", style="dim")
    tables = ((rates.NODE_TITLES, rates.node_rows(look)), (rates.CAMERA_TITLES, rates.camera_rows(look)))
    shown = [_text(output.table(titles, rows, colour=True) + "\n") for titles, rows in tables if rows]
    return Group(Text(rates.headline(look) + "\n", style="bold"), *shown, foot)


def _text(lines: str) -> RenderableType:
    """As it is: a narrow terminal cuts columns off at the right instead of breaking lines."""
    from rich.text import Text

    return Text.from_ansi(lines, no_wrap=True, overflow="crop")
