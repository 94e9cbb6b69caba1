"""`longshore login`: remember a control plane, its CA and a token, and check that they work together."""

from __future__ import annotations

import os
import sys

import click

from controlplane.cli import contexts
from controlplane.cli.contexts import Context
from protos.errors import Rejected

EXAMPLES = """Remember a control plane and an API token for it in ~/.config/longshore/config.yaml (0600).

The token is read from a prompt, or from standard input when that is no terminal. An https control plane must show a
certificate of the CA in --ca FILE, or of the one it shows now if its fingerprint is the one you were told (--pin).

\b
Examples:
  longshore login https://fleet.example:8443 --ca ca.pem
  longshore login https://10.0.0.5:8443 --pin 9f2c…          first field of a join token, after LS1.
  longshore login http://127.0.0.1:8080 < .longshore/controlplane/admin.token
  longshore --context harbour login https://fleet.example:8443
"""


@click.command("login", help=EXAMPLES)
@click.argument("url")
@click.option("--pin", metavar="SHA256", help="SHA-256 of the public key of the CA, hex.")
@click.pass_context
def command(ctx: click.Context, url: str, pin: str | None) -> None:
    wished = contexts.wish(ctx.find_root().obj or {}, os.environ)
    url = url.rstrip("/")
    ca_pem = wished.ca_pem or _trusted(url, pin)
    context = Context(url, wished.token or _token(), ca_pem, wished.context or _name(url))
    _check(context)
    config = contexts.config_path(os.environ)
    contexts.remember(config, context)
    click.echo(f"signed in to {url}; it is now context {context.name} in {config}")


def _token() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("API token", hide_input=True))
    return sys.stdin.readline().strip()


def _name(url: str) -> str:
    host = url.partition("://")[2].partition("/")[0]
    return (host or url).replace(":", "-")


def _check(context: Context) -> None:
    """One call that needs the token: a mistake shows here and not later."""
    from controlplane.cli.client import Client

    with Client(context) as client:
        client.call("GET", "/nodes", params={"limit": 1})


def _trusted(url: str, pin: str | None) -> str:
    """The CA that the server shows, when it is the pinned one or a person says so; none for http."""
    if not url.startswith("https://"):
        return ""
    from controlplane.cli import pinning

    ca_pem = pinning.shown_ca(url)
    found = pinning.fingerprint(ca_pem)
    if pin is None:
        if not sys.stdin.isatty():
            raise Rejected(f"nobody is there to confirm the CA of {url}; give --ca FILE or --pin SHA256")
        click.echo(f"{url} shows a CA whose public key has the SHA-256\n  {found}", err=True)
        click.confirm("Is that the one you were told?", abort=True, err=True)
    elif pin.lower() != found:
        raise Rejected(f"{url} shows another CA than the pinned one; somebody may sit in between, so nothing was sent")
    return ca_pem
