"""What a shell may complete: kinds by heart, names by asking the control plane, briefly and quietly.

A key press must not wait: the answer comes within PATIENCE_SECONDS or there is none, and no error reaches the screen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from controlplane.cli import kinds
from protos.errors import LongshoreError

PATIENCE_SECONDS = 1.0


def kind(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Plural names; after a kind and `/`, names of that kind."""
    word, slash, name = begun.partition("/")
    if slash:
        return [f"{word}/{each}" for each in _names(_ctx, word) if each.startswith(name)]
    return [each.plural for each in kinds.KINDS if each.plural.startswith(begun)]


def name(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the kind that was typed before."""
    return [each for each in _names(ctx, str(ctx.params.get("kind_word") or "")) if each.startswith(begun)]


def _names_of(plural: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes names of one kind."""

    def complete(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        return [each for each in _names(ctx, plural) if each.startswith(begun)]

    return complete


node, camera, deployment = _names_of("nodes"), _names_of("cameras"), _names_of("deployments")
person, run, recipe = _names_of("people"), _names_of("runs"), _names_of("recipes")
release = _names_of("releases")


def context(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Remembered control planes."""
    from controlplane.cli import contexts

    with suppress(LongshoreError):
        known = contexts.remembered(contexts.config_path(os.environ))
        return [each.name for each in known if each.name.startswith(begun)]
    return []


def logged(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """What has a log: boxes by name, and `run/NAME`."""
    if begun.startswith("run/"):
        return [f"run/{each}" for each in run(ctx, _parameter, begun.removeprefix("run/"))]
    return node(ctx, _parameter, begun)


def _names(ctx: click.Context, word: str) -> list[str]:
    from controlplane.cli import contexts, session
    from controlplane.cli.client import Client

    found: list[Any] = []
    with suppress(LongshoreError, KeyError), ctx:
        context: contexts.Context = session.context()
        with Client(context, answer_seconds=PATIENCE_SECONDS) as client:
            found = client.listed(kinds.named(word).plural)
    return [str(each["metadata"]["name"]) for each in found]
