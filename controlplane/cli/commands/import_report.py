"""`longshore import-report`: what boxes without a network say, from files that they signed."""

from __future__ import annotations

from pathlib import Path

import click

from controlplane.cli import session
from protos import carried
from protos.errors import Rejected

HELP = """Take reports that boxes without a network wrote: files, or a folder that was at a box.

A report counts by the key of the box that signed it. One that is older than what is known changes nothing.

\b
Examples:
  longshore import-report /media/stick/fleet
  longshore import-report quay-1.report
"""


@click.command("import-report", help=HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="FILE|DIR...")
def command(paths: tuple[Path, ...]) -> None:
    refused: list[str] = []
    with session.client() as client:
        for path in (file for given in paths for file in _files(given)):
            try:
                told = client.document("POST", "/reports", content=_content(path))
            except Rejected as error:
                refused.append(f"{path.name}: {error}")
                continue
            known = "" if told["news"] else ", which was known"
            click.echo(
                f"{told['node']}: written {told['written']}{known}; see 'longshore describe node {told['node']}'"
            )
    if refused:
        raise Rejected("; ".join(refused))


def _files(given: Path) -> list[Path]:
    """Raises Rejected: a folder without reports."""
    if not given.is_dir():
        return [given]
    folder = given / carried.REPORTS if (given / carried.REPORTS).is_dir() else given
    found = sorted(folder.glob(f"*{carried.REPORT}"))
    if not found:
        raise Rejected(f"{given} holds no report; 'longshore-agent report -o FILE' on a box writes one")
    return found


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(carried.MOST_BYTES + 1)
    except OSError as error:
        raise Rejected(f"cannot be read: {error.strerror}") from error
    if len(content) > carried.MOST_BYTES:
        raise Rejected(f"has more than {carried.MOST_BYTES >> 20} MiB, which no report has")
    return content
