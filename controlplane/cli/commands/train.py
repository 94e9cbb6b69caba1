"""`longshore train`: a Run of a recipe, watched until its release is in the registry, or let alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from controlplane.cli import completing, output, session, training
from controlplane.cli.client import Client, Document, address
from controlplane.cli.exits import Exit
from controlplane.cli.patience import awaited
from controlplane.cli.training import RunLog
from protos.errors import Rejected

EXAMPLES = """Train a model on the control plane's machine; what comes out is a release in its registry.

RECIPE is the name of one that the control plane has ('longshore get recipes'), or its folder here. Settings that are
not named keep the recipe's defaults: 'longshore describe recipe NAME' shows them. A setting that is a path of this
folder is sent as a whole one. One Run goes on at a time; others wait. A Run outlives this command, the control plane
and a power cut: it goes on from its last checkpoint. Ctrl-C leaves it alone.

\b
Examples:
  longshore train models/harbour --set epochs=2
  longshore train detector --set data=./yard --model yard-cranes -v
  longshore train harbour --name night --version 2.0.0 --detach
  longshore train --attach night            watch one that goes on
  longshore cancel run night
"""
LOOK_SECONDS = 1.0
TAIL = 15  # lines of a failed Run's log
Show = Callable[[Document], None]


@click.command("train", help=EXAMPLES)
@click.argument("recipe", required=False, shell_complete=completing.recipe)
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting of the recipe.")
@click.option("--name", default="", help="Of the Run [default: the recipe's and a number].")
@click.option("--model", default="", help="Which model the release is of [default: the recipe's name].")
@click.option("--version", default="", help="Of the release [default: the patch after the newest].")
@click.option("-d", "--detach", is_flag=True, help="Do not watch it.")
@click.option("--attach", metavar="RUN", help="Watch a Run that there is.", shell_complete=completing.run)
@click.option("-v", "--verbose", is_flag=True, help="Its log, too.")
def command(recipe: str | None, attach: str | None, *, detach: bool, verbose: bool, **wished: Any) -> None:
    if bool(recipe) is bool(attach):
        raise click.UsageError("Name a RECIPE to train, or a Run to --attach to; one of the two.")
    if attach and (detach or any(wished.values())):
        raise click.UsageError("A Run that goes on cannot be changed; leave the other options out.")
    with session.client() as client:
        name = attach or _start(client, str(recipe), **wished)
        if detach:
            click.echo(f"  watch it: longshore train --attach {name}    end it: longshore cancel run {name}")
            return
        try:
            ended = _watch(client, name, verbose=verbose)
        except KeyboardInterrupt:
            click.echo(f"\nrun/{name} goes on without this command", err=True)
            click.echo(f"  watch it: longshore train --attach {name}    end it: longshore cancel run {name}", err=True)
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None
        _tell_end(client, ended)


def _start(client: Client, word: str, *, pairs: tuple[str, ...], name: str, model: str, version: str) -> str:
    found = training.recipe(client, word)
    first = training.environment(client.document("GET", "/trainer"))
    if first:
        click.echo(first, err=True)
    settings = training.settings(found, pairs, Path.cwd())
    spec = {"recipe": found["metadata"]["name"], "settings": settings, "model": model, "version": version}
    made = client.document("POST", "/runs", json={"metadata": {"name": name}, "spec": spec})
    given = str(made["metadata"]["name"])
    click.echo(f"run/{given} created: {made['spec']['model']} {made['spec']['version']}")
    return given


def _watch(client: Client, name: str, *, verbose: bool) -> Document:
    """The Run when it is over. A control plane that goes away is waited for."""
    log = RunLog(client, name)
    with _screen() as (show, say):
        while True:
            run = awaited(lambda: client.one("runs", name), time.sleep)
            show(run)
            for line in awaited(lambda: log.newer(0), time.sleep) if verbose else []:
                say(output.one_line(line))
            if training.phase(run) in training.FINISHED:
                return run
            time.sleep(LOOK_SECONDS)


@contextmanager
def _screen() -> Iterator[tuple[Show, Callable[[str], None]]]:
    """How a Run is shown, and a line of its log beside that: a bar on a terminal, elsewhere a line at each change."""
    if not sys.stderr.isatty():
        yield _Lines().show, lambda line: click.echo(line, err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("Pending", total=None, told="")

        def show(run: Document) -> None:
            told, phase = run["status"]["progress"], training.phase(run)
            running = phase == "Running" and told["phase"]
            total = (told["steps"] or None) if running else None
            words = training.line(run).partition(" ")[2] if running else output.one_line(run["status"]["message"])
            text = told["phase"] if running else phase
            bars.update(task, description=text, completed=told["step"] if running else 0, total=total, told=words)

        yield show, lambda line: bars.console.print(line, markup=False, highlight=False)


class _Lines:
    """For pipes and files: each phase, and each epoch within."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()

    def show(self, run: Document) -> None:
        told, phase = run["status"]["progress"], training.phase(run)
        seen = (phase, told["phase"], told["epoch"], *sorted(told["metrics"].items()))
        if seen == self._seen or phase in training.FINISHED:
            return
        same, self._seen = self._seen[:1] == seen[:1], seen
        words = training.line(run) if same and phase == "Running" else run["status"]["message"]
        click.echo(f"run/{run['metadata']['name']} {phase}: {output.one_line(words)}", err=True)


def _tell_end(client: Client, run: Document) -> None:
    """What came of it and what is next. Raises Rejected when it is not a release."""
    name, status, spec = run["metadata"]["name"], run["status"], run["spec"]
    if status["phase"] == "Succeeded":
        figures = ", ".join(training.measured(run))
        click.echo(f"run/{name} succeeded: release/{status['release']}{f' ({figures})' if figures else ''}")
        click.echo(f"  try it:    longshore try {spec['model']}@{spec['version']} --source video.mp4")
        click.echo(f"  deploy it: set version: {spec['version']} in a Deployment of {spec['model']}, "
                   "with 'longshore edit deployment NAME' or 'longshore apply -f FILE'")  # fmt: skip
        return
    if status["phase"] == "Cancelled":
        raise Rejected(f"run {name} was cancelled; nothing was published")
    for line in RunLog(client, name).tail(TAIL):
        click.echo(f"  {output.one_line(line)}", err=True)
    raise Rejected(f"run {name} failed: {output.one_line(status['message'])}")


def cancelled(client: Client, name: str) -> str:
    """Cancel a Run; what to say of it."""
    run = client.document("POST", address("runs", name, "cancel"))
    stopping = training.phase(run) == "Cancelling"
    return f"run/{name} {'is stopping' if stopping else 'cancelled'}"
