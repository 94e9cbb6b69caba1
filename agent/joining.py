"""`longshore-agent join`: the adapters that joining needs, put together. Its order: agent.identity.joining."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from agent.adapters import files
from agent.adapters.enroll_https import HttpsFrontDoor
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.identity import joining
from agent.identity.joining import Wish
from agent.version import VERSION
from protos import tokens
from protos.ids import NodeId


def join(config: AgentConfig, url: str, token: str, node_id: str, labels: Mapping[str, str]) -> NodeId:
    """Make this box a member; its node id.

    Raises:
        InvalidToken, Rejected, Retryable: this box is then as it was.
        Fatal: the state directory cannot be written; the token is still good.
    """
    keys = X509Keys()
    wish = Wish(tokens.parse(token), node_id, labels, config.role, VERSION, host_name())
    store = IdentityDirectory(config.state_dir, keys)
    files.check_writable(store.path)  # a token is good for one use: nothing here may waste it
    identity = joining.join(wish, HttpsFrontDoor(url), keys, store)
    return identity.member.node_id


def join_once(config: AgentConfig, url: str, token: Callable[[], str], node_id: str) -> None:
    """Join unless this box is a member already; `token` is asked for only then. Raises as `join`."""
    if not IdentityDirectory(config.state_dir, X509Keys()).joined:
        join(config, url, token(), node_id, {})


def host_name() -> str:
    """The host name as a node id: lower case, what is not allowed becomes a dash; "" when nothing is left."""
    name = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname().lower())
    return name.encode("ascii", "ignore").decode().strip("-")[:63]
