"""`longshore sign`: releases that lie in the registry, listed by release keys on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from controlplane.cli import completing, session
from controlplane.cli.commands.push import told
from protos import ids, manifest
from protos.errors import Rejected

if TYPE_CHECKING:
    from controlplane.cli.client import Client
    from controlplane.cli.signing import Keyring
    from protos.trust import Listing

EXAMPLES = """Sign releases that are in the registry: boxes run only what is signed.

What is signed are the bytes that the control plane has under that name: it is a statement that these may run. 'push'
signs the bytes on your disk instead. --all signs what lies there unsigned, and whatever gets old soon.

\b
Examples:
  longshore sign harbour@1.2.0
  longshore sign --all
  longshore sign harbour@1.2.0 --key ann.key --key hv:release/1    where two must sign, and both keys are here

Where two must sign and one key is here, it is a proposal, which the other holder signs on his own machine: 'longshore
keys sign'.

\b
  longshore sign harbour@1.2.0 --key ann.key
  longshore sign harbour@1.2.1 --floor 7
"""


@click.command("sign", help=EXAMPLES)
@click.argument("releases", nargs=-1, metavar="NAME@VERSION...", shell_complete=completing.release)
@click.option("--all", "everything", is_flag=True, help="Whatever is not signed yet.")
@click.option("--again", is_flag=True, help="With --all: also what is signed; after an old backup was restored.")
@click.option(
    "--key", "names", multiple=True, metavar="FILE|URI", help="A release key; several where several must sign."
)
@click.option("--floor", type=click.IntRange(0), help="Boxes run no release below this number ever again.")
@click.option("--for", "classes", multiple=True, metavar="CLASS", help="Where it may run [default: anywhere].")
@click.option("--minimum-agent", metavar="VERSION", help="The oldest agent that may run it.")
def command(
    releases: tuple[str, ...],
    everything: bool,  # noqa: FBT001 - click's
    again: bool,  # noqa: FBT001 - click's
    names: tuple[str, ...],
    floor: int | None,
    classes: tuple[str, ...],
    minimum_agent: str | None,
) -> None:
    from controlplane.cli import signing

    if bool(releases) is everything:
        raise click.UsageError("Name releases as NAME@VERSION, or say --all.")
    if again and not everything:
        raise click.UsageError("--again goes with --all.")
    terms = signing.terms(floor, classes, minimum_agent)
    with session.client() as client:
        ring = needed(client, names)
        wishes = [_wish(client, name) for name in (_unsigned(client) if everything else map(_name, releases))]
        done = signing.sign(client, ring, wishes, terms=terms, whole=everything, again=again)
    if done.waits:
        click.echo(done.waits)
    for each in done.listings.values():
        click.echo(f"{each.model}@{each.version} {told(each, changed=done.changed)}")
    if not wishes:
        click.echo("every release is signed")


def needed(client: Client, names: tuple[str, ...]) -> Keyring:
    """Raises Rejected: there is no key."""
    from controlplane.cli import signing

    ring = signing.keyring(names, client.context, os.environ)
    if not ring:
        raise Rejected("no release key is here; name one with --key FILE, or in LONGSHORE_RELEASE_KEY")
    return ring


def _name(release: str) -> str:
    return ids.release_name(*ids.release(release))


def _unsigned(client: Client) -> list[str]:
    found = client.listed("releases")
    return [each["metadata"]["name"] for each in found if not each["status"].get("signed")]


def _wish(client: Client, name: str) -> Listing:
    """Raises Rejected: what lies under that name is another release."""
    from controlplane.cli import signing
    from controlplane.cli.client import address

    content = client.call("GET", address("releases", name, "manifest")).content
    found = manifest.parse(content)
    if ids.release_name(found.name, found.version) != name:
        raise Rejected(f"the control plane shows {found.name}@{found.version} as {name}; sign nothing, and ask why")
    digest = manifest.release_digest(content)
    return signing.listing(found.name, found.version, found.task, digest, len(content))
