"""`longshore-agent join`: the adapters that joining needs, put together. Its order: agent.identity.joining."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from agent.adapters import files
from agent.adapters.enroll_https import HttpsFrontDoor
from agent.adapters.hold import holder
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.errors import DiskFull
from agent.identity import joining
from agent.identity.decisions import COMMANDS
from agent.identity.joining import Wish
from agent.identity.store import Membership
from agent.version import VERSION
from protos import tokens
from protos.errors import Rejected


def join(config: AgentConfig, url: str, wish: Wish) -> Membership:
    """Make this box a member, or a member anew.

    Raises:
        InvalidToken, Rejected, Retryable: this box is then as it was.
        Fatal: the state directory cannot be written; the token is still good.
    """
    keys = X509Keys()
    store = IdentityDirectory(config.state_dir, keys)
    try:
        files.check_writable(store.path)  # a token is good for one use: nothing here may waste it
    except DiskFull as error:
        raise DiskFull(f"no space left for {store.path}; free some and join again, the token is still good") from error
    return joining.join(wish, HttpsFrontDoor(url), keys, store).member


def wish(token: str, node_id: str, labels: Mapping[str, str], role: str, *, leave_fleet: bool = False) -> Wish:
    """What the installer asks for, and what this box says of itself. Raises InvalidToken when `token` is none."""
    return Wish(tokens.parse(token), node_id, labels, role, VERSION, host_name(), leave_fleet)


def member_of(config: AgentConfig, wish: Wish) -> Membership | None:
    """Who this box is already in the fleet that the token is of; None when it has to join first."""
    keys = X509Keys()
    try:
        identity = IdentityDirectory(config.state_dir, keys).load()
        same = keys.facts(identity.ca).public_key == wish.token.ca_pin
    except Rejected:
        return None
    return identity.member if same and wish.node_id in ("", identity.member.node_id) else None


def next_step(config: AgentConfig, member: Membership) -> str:
    """What brings the new certificate into use."""
    if running := holder(config.state_dir):
        return f"the agent that runs here (process {running}) still uses the old certificate: restart it"
    return f"start it with: {COMMANDS.get(member.role, 'longshore-agent')}"


def join_once(config: AgentConfig, url: str, token: Callable[[], str], node_id: str) -> None:
    """Join in the role this agent runs in, unless this box is a member already; `token` is asked for only then. Raises
    as `join`.
    """
    if not IdentityDirectory(config.state_dir, X509Keys()).joined:
        join(config, url, wish(token(), node_id, {}, config.role))


def host_name() -> str:
    """The host name as a node id: lower case, what is not allowed becomes a dash; "" when nothing is left."""
    name = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname().lower())
    return name.encode("ascii", "ignore").decode().strip("-")[:63]
