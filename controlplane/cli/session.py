"""What every command starts with: the client for the context that options, environment and files name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli import contexts

if TYPE_CHECKING:
    from controlplane.cli.client import Client


def context() -> contexts.Context:
    """Raises Rejected when no control plane is known."""
    wished = contexts.wish(click.get_current_context().find_root().obj or {}, os.environ)
    return contexts.resolve(wished, _here(), contexts.config_path(os.environ))


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # removed while a shell stood in it: it holds no context
        return Path("/")


def client() -> Client:
    from controlplane.cli.client import Client

    return Client(context())
