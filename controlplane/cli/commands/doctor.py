"""`longshore doctor`: is this command's way to its control plane well, is the fleet, could `longshore up` run here?"""

from __future__ import annotations

import email.utils
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli import output, session
from controlplane.cli.checkup import Finding, Here, Server, diagnose
from controlplane.cli.exits import Exit
from protos.errors import LongshoreError

if TYPE_CHECKING:
    from controlplane.cli.client import Client

EXAMPLES = """Look for what keeps commands, the fleet or 'longshore up' from working, and say how to mend it.

Looks at the context and its pinned CA, the control plane, its clock and version, the token, the broker, boxes that are
offline or too old, and on this machine at disk, ports and mosquitto. Changes nothing. Exit code 1: something is broken.

\b
Examples:
  longshore doctor
  longshore doctor -o json
  longshore doctor --state /srv/longshore   where 'longshore up' keeps its state
"""
_COLOURS = {"broken": "red", "note": "yellow", "ok": "green"}


@click.command("doctor", help=EXAMPLES)
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), default=Path(".longshore"), show_default=True
)
def command(form: str, state: Path) -> None:
    server, why = _server()
    findings = diagnose(metadata.version("longshore"), server, why, _here(state))
    broken = any(finding.level == "broken" for finding in findings)
    if form == "table":
        _show(findings)
    else:
        click.echo(output.structured({"ok": not broken, "findings": [asdict(each) for each in findings]}, form))
    if broken:
        click.get_current_context().exit(Exit.REJECTED)


def _show(findings: Sequence[Finding]) -> None:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        level = finding.level.upper() if finding.level == "broken" else finding.level
        shown = level.ljust(6)
        mark = click.style(shown, fg=_COLOURS[finding.level]) if output.coloured() else shown
        click.echo(f"{mark}  {finding.subject.ljust(width)}  {output.one_line(finding.sentence)}")


# ---- the control plane ----


def _server() -> tuple[Server | None, str]:
    """What could be found out, or why nobody can be asked."""
    try:
        client = session.client()
    except LongshoreError as error:
        return None, str(error)
    with client:
        return _asked(client), ""


def _asked(client: Client) -> Server:
    url, trust = client.context.url, _trust(client)
    began = time.monotonic()
    try:
        answer = client.call("GET", f"{url}/healthz")
    except LongshoreError as error:
        return Server(url, trust, error=str(error))
    seconds, told = time.monotonic() - began, answer.headers.get("Date")
    offset = email.utils.parsedate_to_datetime(told).timestamp() - time.time() if told else None
    try:
        version = str(client.document("GET", "/version")["version"])
        nodes = client.listed("nodes")
    except LongshoreError as error:
        return Server(url, trust, token_error=str(error), seconds=seconds, offset=offset)
    return Server(url, trust, "", "", version, seconds, offset, _hears_boxes(client), nodes)


def _trust(client: Client) -> str:
    from controlplane.cli.pinning import fingerprint

    context = client.context
    if context.url.startswith("http://"):
        return "plain HTTP"
    if not context.ca_pem:
        return "trusted by this system's list of CAs"
    return f"recognised by the CA {fingerprint(context.ca_pem)[:16]}…"


def _hears_boxes(client: Client) -> bool | None:
    try:
        lines = client.call("GET", f"{client.context.url}/metrics").text.splitlines()
    except LongshoreError:
        return None
    figures = [line.split()[-1] for line in lines if line.startswith("longshore_ingest_connected ")]
    return float(figures[0]) > 0 if figures else None


# ---- this machine ----


def _here(state: Path) -> Here:
    there = next(folder for folder in (state, *state.absolute().parents) if folder.exists())
    held = _holder(state)
    return Here(
        state=str(state),
        free_bytes=shutil.disk_usage(there).free,
        mosquitto=shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or "",
        held=held,
        taken={} if held else _taken(state),
    )


def _holder(state: Path) -> str:
    import fcntl

    try:
        with (state / "up.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"'longshore up' runs on {state.absolute()}"
    except OSError:
        return ""
    return ""


def _taken(state: Path) -> dict[str, str]:
    from controlplane.up.options import UpOptions
    from controlplane.up.ports import holder_of, is_free

    taken = {}
    for use in UpOptions(state=state).ports(agents=0):
        if not is_free(use.host, use.port):
            holder = holder_of(use.port) if os.access("/proc", os.R_OK) else ""
            who = f" by {holder}" if holder else ""
            taken[f"port {use.port} ({use.what})"] = f"{who}; 'longshore up' needs another: {use.flag}"
    return taken
