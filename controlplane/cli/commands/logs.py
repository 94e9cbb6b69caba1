"""`longshore logs`: the newest lines of a box, sent while somebody looks; they are stored on the box only."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from controlplane.cli import output, session
from controlplane.cli.client import Client, address
from protos.errors import Retryable

EXAMPLES = """Newest log lines of a box, as it sends them while somebody looks.

\b
Examples:
  longshore logs quay-1
  longshore logs quay-1 -f                  go on until Ctrl-C
"""
_WAIT_SECONDS = 8  # of one request: the box opens its stream when it hears that somebody looks
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


@click.command("logs", help=EXAMPLES)
@click.argument("node")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", "most", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
def command(node: str, most: int, *, follow: bool) -> None:
    with session.client() as client:
        after = _show(client, node, 0, most)
        if not after:
            raise Retryable(f"{node} sent no line yet; is it online? See 'longshore describe node {node}'")
        while follow:
            try:
                after = _show(client, node, after, most) or after
            except Retryable as error:
                click.echo(f"waiting: {error}", err=True)
                time.sleep(1)


def _show(client: Client, node: str, after: int, most: int) -> int:
    """Print what is newer than `after`; the number of the last line, 0 when there was none."""
    asked = {"after": after, "wait": _WAIT_SECONDS}
    lines = client.document("GET", address("nodes", node, "logs"), params=asked)["items"]
    for line in lines[-most:]:
        click.echo(_line(line))
    return int(lines[-1]["number"]) if lines else 0


def _line(line: dict[str, Any]) -> str:
    moment = datetime.fromisoformat(line["time"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    text = f"{moment} {line['level']:<7} {line['logger']}: {line['message']}"
    return click.style(text, fg=_COLOURS.get(line["level"])) if output.coloured() else text
