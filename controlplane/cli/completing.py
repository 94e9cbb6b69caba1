"""What a shell may complete: kinds by heart, names by asking the control plane, briefly and quietly.

A key press must not wait: the answer comes within PATIENCE_SECONDS or there is none, and no error reaches the screen.
"""

from __future__ import annotations

import os
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


def node(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "nodes") if each.startswith(begun)]


def camera(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "cameras") if each.startswith(begun)]


def deployment(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "deployments") if each.startswith(begun)]


def context(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Remembered control planes."""
    from controlplane.cli import contexts

    with suppress(LongshoreError):
        known = contexts.remembered(contexts.config_path(os.environ))
        return [each.name for each in known if each.name.startswith(begun)]
    return []


def person(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "people") if each.startswith(begun)]


def run(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "runs") if each.startswith(begun)]


def recipe(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in _names(ctx, "recipes") if each.startswith(begun)]


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
