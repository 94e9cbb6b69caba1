"""Certificates as `up` sees them: the broker's key pair, from the control plane's own CA, and who has joined already.

`up` reads of a local agent's identity what a person would look up: whether it is there, and which address it names.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from controlplane.adapters.authority_files import load_or_create, write_pair
from controlplane.config import server_names
from controlplane.up.broker_rules import Listener
from controlplane.up.options import UpOptions
from controlplane.up.plan import LocalAgent

BROKER_CERTIFICATE_DAYS = 730.0  # made anew at each start of `up`


def broker_listener(options: UpOptions) -> Listener:
    """Where the broker listens, with files for both kinds of broker."""
    folder = options.state.absolute() / "controlplane" / "ca"
    names = server_names(options.listen, options.advertised)
    now = time.time()
    pair = load_or_create(folder, now).issue_server(names, now, BROKER_CERTIFICATE_DAYS)
    certificate, key = write_pair(folder, "broker", pair)
    return Listener(options.listen, options.broker_port, Path(folder) / "ca.pem", certificate, key)


def is_member(agent: LocalAgent, options: UpOptions) -> bool:
    return _certificate(agent, options).is_file()


def deleted(agent: LocalAgent, options: UpOptions) -> str:
    """What is to be said of a member whose node is gone: who deleted it meant it, so it does not join by itself."""
    identity = _certificate(agent, options).parent
    return f"{agent.node} was deleted; to bring it back, delete {identity} and start this again"


def forget_if_moved(agent: LocalAgent, options: UpOptions) -> None:
    """A box of this tree whose control plane listens elsewhere by now joins again; its node and data stay."""
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(_certificate(agent, options).with_name("node.json").read_text())
        if (known.get("url"), known.get("fleetAddress")) != (options.local_url, options.fleet_address):
            _certificate(agent, options).unlink()


def _certificate(agent: LocalAgent, options: UpOptions) -> Path:
    return agent.state_dir(options) / "identity" / "cert.pem"
