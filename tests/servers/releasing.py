"""Releases pushed and signed, as `longshore push` does, to a control plane that runs."""

from __future__ import annotations

import os
from pathlib import Path

from controlplane.cli import signing
from controlplane.cli.client import Client
from controlplane.cli.pushing import Pushed, push
from tests.servers.demo import DemoTree


def signed(client: Client, tree: DemoTree, folder: Path) -> Pushed:
    pushed = push(client, folder)
    ring = signing.keyring((str(tree.state / "keys" / "release.key"),), client.context, os.environ)
    about = (pushed.model, pushed.version, pushed.task, pushed.digest, pushed.size)
    signing.sign(client, ring, [signing.listing(*about)])
    return pushed
