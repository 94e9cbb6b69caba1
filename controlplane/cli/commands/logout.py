"""`longshore logout`: forget a context, and with it its token."""

from __future__ import annotations

import os

import click

from controlplane.cli import completing, contexts
from protos.errors import Rejected

EXAMPLES = """Forget a remembered control plane with its token.

The token itself goes on working elsewhere: 'longshore token' on the control plane lists and deletes tokens.

\b
Examples:
  longshore logout                          the current context
  longshore logout fleet.example-8443
"""


@click.command("logout", help=EXAMPLES)
@click.argument("name", required=False, shell_complete=completing.context)
def command(name: str | None) -> None:
    config = contexts.config_path(os.environ)
    chosen = name or contexts.current(config)
    if not chosen:
        raise Rejected(f"nobody is signed in: {config} names no current context")
    contexts.forget(config, chosen)
    click.echo(f"forgot {chosen}")
    left = contexts.current(config)
    click.echo(
        f"the current context is now {left}" if left else "no context is left; sign in with 'longshore login URL'"
    )
