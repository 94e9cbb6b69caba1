"""`longshore edit`: an object in your editor, written back when you save.

Nothing that was typed is lost: what cannot be written in the end stays in a file that the error names.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import click

from controlplane.cli import completing, documents, editing, kinds, output, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.exits import Conflict, NotFound
from controlplane.cli.kinds import Kind
from controlplane.written import WRITABLE, parse
from protos.errors import LongshoreError, Rejected

EXAMPLES = """Change an object in your editor (VISUAL, EDITOR, else vi).

What is refused is opened again with the reason at its top. When somebody else changed the object meanwhile, yours is
not written over theirs: remove the line resourceVersion to do so.

\b
Examples:
  longshore edit deployment harbour-watch
  longshore edit camera/gate
  EDITOR='code --wait' longshore edit node quay-1
"""


@click.command("edit", help=EXAMPLES)
@click.argument("kind_word", metavar="KIND", shell_complete=completing.kind)
@click.argument("name", required=False, shell_complete=completing.name)
def command(kind_word: str, name: str | None) -> None:
    word, _, after = kind_word.partition("/")
    kind = kinds.named(word)
    chosen = name or after or kind.only
    if not chosen:
        raise click.UsageError(f"Name the {word} to edit; 'longshore get {word}' lists them.")
    if kind.name not in WRITABLE:
        raise Rejected(f"a {kind.name} is {kinds.origin(kind)} and cannot be edited; {', '.join(WRITABLE)} can be")
    with session.client() as client:
        document = client.one(kind.plural, chosen)
        _check_role(client, address(kind.plural, chosen))
        _edit(client, kind, document)


def _check_role(client: Client, place: str) -> None:
    """Who may not write it hears that before the editor opens. A control plane one release older cannot tell."""
    with suppress(NotFound):
        client.call("GET", "/whoami", params={"change": place.removeprefix("/")})


def _edit(client: Client, kind: Kind, document: Document) -> None:
    label = f"{kind.name.lower()}/{document['metadata']['name']}"
    handle, place = tempfile.mkstemp(prefix=f"longshore-{label.replace('/', '-')}-", suffix=".yaml")
    path = Path(place)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - the handle that mkstemp opened, 0600
        file.write(editing.text_of(document))
    try:
        change = _until_taken(client, path, label)
    except LongshoreError as error:
        raise type(error)(f"{error}; what you wrote is in {path}") from error
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"what you wrote is in {path}", err=True)
        raise
    path.unlink(missing_ok=True)
    click.echo(f"{label} {change}")


def _until_taken(client: Client, path: Path, label: str) -> str:
    """Open, write, and open again while what was written is refused; what became of the object."""
    before = editing.written(path.read_text(encoding="utf-8"))
    refusal: Rejected | None = None
    while True:
        now = editing.written(editing.opened(path))
        if not now or (now == before and refusal is None):
            return "unchanged"
        if now == before and refusal is not None:
            raise refusal  # saved again as it was: the user gives up
        try:
            return _write(client, path, label)
        except Rejected as error:
            before, refusal = now, error
            click.echo(f"{click.style('refused:', fg='red') if output.coloured() else 'refused:'} {error}", err=True)
            path.write_text(editing.with_refusal(path.read_text(encoding="utf-8"), _explained(error)), encoding="utf-8")


def _write(client: Client, path: Path, label: str) -> str:
    found = parse(path.read_text(encoding="utf-8"), label)
    if len(found) != 1:
        raise Rejected("one object is edited at a time; use 'longshore apply -f' for several")
    kind, name = documents.identity(found[0])
    if f"{kind.name.lower()}/{name}" != label:
        raise Rejected(f"kind and name cannot be edited; 'longshore apply -f' makes another object beside {label}")
    answer = client.call("PUT", address(kind.plural, name), json=found[0].document)
    return str(answer.headers.get("Longshore-Change", "configured"))


def _explained(error: Rejected) -> str:
    if isinstance(error, Conflict):
        return f"{error}\nremove the line resourceVersion to write yours over it"
    return str(error)
