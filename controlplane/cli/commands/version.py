"""`longshore version`: of this command, and of the control plane where one answers."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import click

from controlplane.cli import output, session
from protos import versions
from protos.errors import LongshoreError

EXAMPLES = """Versions of this command and of the control plane.

\b
Examples:
  longshore version
  longshore version -o json
  longshore version --client                without asking the control plane
"""


@click.command("version", help=EXAMPLES)
@click.option("--client", "client_only", is_flag=True, help="Only of this command.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
def command(form: str, *, client_only: bool) -> None:
    if form != "table":
        click.echo(output.structured(_document(client_only=client_only), form))
        return
    click.echo(f"longshore      {metadata.version('longshore')} (Python {platform.python_version()})")
    if client_only:
        return
    try:
        with session.client() as client:
            told = client.document("GET", "/version")
    except LongshoreError as error:
        click.echo(f"control plane  {error}")
        return
    click.echo(f"control plane  {told['version']} at {client.context.url}")
    click.echo(versions.skew(metadata.version("longshore"), told["version"]) or versions.RULE)


def _document(*, client_only: bool) -> dict[str, Any]:
    """`controlPlane` is null where none was asked or none answers."""
    ours = {"version": metadata.version("longshore"), "python": platform.python_version()}
    try:
        if client_only:
            return {"client": ours, "controlPlane": None}
        with session.client() as client:
            told = client.document("GET", "/version")
    except LongshoreError as error:
        return {"client": ours, "controlPlane": None, "error": str(error)}
    return {"client": ours, "controlPlane": {"version": told["version"], "url": client.context.url}}
