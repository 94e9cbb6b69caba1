"""`longshore audit`: who changed what."""

from __future__ import annotations

import click

from controlplane.cli import completing, kinds, output, session

EXAMPLES = """Who changed what, newest first. Kept for 400 days.

\b
Examples:
  longshore audit
  longshore audit --since 30d --who ann
  longshore audit -o json
"""
_SHORT = 10  # of an RFC 3339 moment: the date, then the time to the second


@click.command("audit", help=EXAMPLES)
@click.option("--since", default="24h", show_default=True, metavar="WHEN", help="How long ago, or a moment (RFC 3339).")
@click.option(
    "--who", default="", metavar="NAME", shell_complete=completing.person, help="A person, or a service's API token."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(since: str, who: str, limit: int, form: str) -> None:
    params = {"since": since, "who": who, "limit": limit}
    with session.client() as client:
        items = client.document("GET", "/audit", params=params)["items"]
    if form != "table":
        click.echo(output.structured(output.listed("Audit", items), form))
    elif not items:
        click.echo("nothing was changed", err=True)
    else:
        fields = ("time", "who", "via", "role", "verb", "object")
        now = kinds.utc_now()
        rows = [[kinds.text(field)(item, now) for field in fields] for item in items]
        click.echo(output.table([field.upper() for field in fields], rows, colour=output.coloured()))
