"""`longshore open`: a one-time link that signs one browser in."""

from __future__ import annotations

import os
import sys

import click

from controlplane.cli import session

EXAMPLES = """Print a one-time sign-in link for the page, and open it where a browser is.

The link works once and for 15 minutes; opening it alone spends nothing, the button on it does. On the control plane's
own machine it leads to the page over plain HTTP, which stays on that machine and which no browser warns of.

\b
Examples:
  longshore open
  longshore open --print | wl-copy
"""


@click.command("open", help=EXAMPLES)
@click.option("--print", "only_print", is_flag=True, help="Print the link and open nothing.")
def command(*, only_print: bool) -> None:
    with session.client() as client:
        url = str(client.document("POST", "/signincodes")["url"])
    click.echo(url)
    if not only_print and sys.stdout.isatty() and _has_display():
        click.launch(url)


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
