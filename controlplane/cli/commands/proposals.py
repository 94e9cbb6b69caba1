"""`longshore keys new, public, propose, pending, sign, cancel`: several holders, each with a key on his own machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli import output, session

if TYPE_CHECKING:
    from controlplane.cli.client import Client
    from controlplane.cli.pending import Review
    from controlplane.cli.signing import Keyring

FORM = click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
KEY = click.option(
    "--key", "names", multiple=True, required=True, metavar="FILE|URI", help="A key that you hold; may be several."
)
TITLES = ("PROPOSAL", "BY", "SIGNED", "LAPSES")


def add_to(group: click.Group) -> None:
    for command in (new, public, propose, pending, sign, cancel):
        group.add_command(command)


def _ring(client: Client, names: tuple[str, ...]) -> Keyring:
    from controlplane.cli import signing

    return signing.keyring(names, client.context, os.environ)


@click.command("new")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def new(path: Path) -> None:
    """Make a key of yours in FILE, and its public half beside it, which you give to whoever proposes to add it.

    \b
    Examples:
      longshore keys new ~/keys/bo.key
    """
    from controlplane.signing import keys

    made = keys.new_key()
    half = keys.write_pair(path, made)
    click.echo(f"{path}: yours, give it to nobody\n{half}: its public half\nid: {made.public_key.keyid}")


@click.command("public")
@click.argument("name", metavar="FILE|URI")
def public(name: str) -> None:
    """Print the public half of a key in a token, in Vault or in a key service, as PEM; its id goes to stderr.

    \b
    Examples:
      longshore keys public 'hsm:2?label=bo' > bo.pub
      longshore keys public hv:release > release.pub
    """
    from controlplane.cli import asking
    from controlplane.signing import held, keys

    found = held.public(name, asking.asker(os.environ))
    click.echo(keys.pem(found).decode(), nl=False)
    click.echo(f"id: {found.keyid}", err=True)


@click.command("propose")
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@click.option("--add", "added", multiple=True, metavar="FILE|URI", help="A key that counts from then on.")
@click.option("--remove", "removed", multiple=True, metavar="ID", help="One that counts no more; its first letters do.")
@click.option("--threshold", type=click.IntRange(1, 20), help="How many of them must sign [default: as many as now].")
@click.option("--renew", is_flag=True, help="Root and targets for another year besides.")
@KEY
def propose(
    roles: tuple[str, ...],
    added: tuple[str, ...],
    removed: tuple[str, ...],
    threshold: int | None,
    renew: bool,  # noqa: FBT001 - click's
    names: tuple[str, ...],
) -> None:
    """Other keys or thresholds for roles, signed with the keys you hold, for the other holders to sign.

    Where your keys are enough it is published at once: so a role moves to a token, to Vault or to a key service.

    \b
    Examples:
      longshore keys propose root targets --add bo.pub --threshold 2 --key root.key --key targets.key
      longshore keys propose release --add bo.pub --threshold 2 --key targets.key --key release.key
      longshore keys propose root --add 'hsm:2?label=root' --remove fbabedcd --key root.key --key 'hsm:2?label=root'
      longshore keys propose timestamp snapshot assign --key root.key --key targets.key
      longshore keys propose --renew --key root.key --key targets.key
    """
    from controlplane.cli import pending as proposals

    change = proposals.Change(roles, added, removed, threshold, renew)
    with session.client() as client:
        for line in proposals.propose(client, _ring(client, names), change):
            click.echo(line)


@click.command("pending")
@FORM
def pending(form: str) -> None:
    """What waits for signatures, and for whose.

    \b
    Examples:
      longshore keys pending
      longshore keys pending -o json
    """
    with session.client() as client:
        items = client.listed("proposals")
    rows = [[each["id"][:12], each["proposedBy"], _signed(each), each["expires"][:10]] for each in items]
    output.show(output.listed("Proposal", items), [TITLES, *rows], form, none="nothing waits for signatures")


def _signed(item: dict[str, object]) -> str:
    needs = item["needs"]
    assert isinstance(needs, list)
    told = [f"{each['role']} {len(each['signedBy'])} of {each['threshold']}" for each in needs]
    return ", ".join(told) or "overtaken: cancel it"


@click.command("sign")
@click.argument("name", required=False, metavar="[ID]")
@KEY
@click.option("-y", "--yes", is_flag=True, help="Do not ask: somebody looked at it.")
def sign(name: str | None, names: tuple[str, ...], yes: bool) -> None:  # noqa: FBT001 - click's
    """Look at a proposal and add your signature; without ID, at each that waits. The last one needed publishes it.

    What changes is worked out on this machine, from what is to be signed and from what this machine has proven.

    \b
    Examples:
      longshore keys sign 3f2a91b0c4d7 --key bo.key
      longshore keys sign --key 'hsm:2?label=bo'
    """
    from controlplane.cli import asking
    from controlplane.cli import pending as proposals

    with session.client() as client:
        ring = _ring(client, names)
        found = proposals.reviews(client, ring, name)
        signed, refused = False, None
        for review in found:
            _show(review)
            try:
                if review.trouble or asking.agreed("Sign this?", yes=yes):
                    click.echo(proposals.sign(client, ring, review))
                    signed = True
            except proposals.NothingToAdd as error:  # another may want these keys
                refused = error
    if refused and not signed:
        raise refused
    if not found:
        click.echo("nothing waits for signatures")


def _show(review: Review) -> None:
    click.echo(f"proposal {review.id[:12]} by {review.who}")
    for line in (review.trouble,) if review.trouble else review.lines:
        click.echo(f"  {line}")
    for need in review.needs:
        click.echo(f"  {need.role}: signed by {len(need.signed)}, {need.threshold} of {len(need.keys)} must")


@click.command("cancel")
@click.argument("name", metavar="ID")
def cancel(name: str) -> None:
    """Nobody shall sign it any more; the same never comes back.

    \b
    Examples:
      longshore keys cancel 3f2a91b0c4d7
    """
    from controlplane.cli import pending as proposals

    with session.client() as client:
        click.echo(f"proposal {proposals.cancel(client, name)} cancelled")
