"""Joining a control plane with a token, in the order that keeps the secret safe:

read the token · make the key on the box · fetch the CA (not trusted) · compare it with the token's pin · open a new,
verified connection · only then send the secret · check what came back · keep it. Nothing is kept before the last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.identity.store import Identity, IdentityStore, Keys, Membership
from protos.errors import InvalidToken, Rejected
from protos.ids import node_id
from protos.tokens import JoinToken


@dataclass(frozen=True)
class Wish:
    """What the installer asks for; the control plane decides."""

    token: JoinToken
    node_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    role: str = "edge"
    agent_version: str = ""
    host_name: str = ""  # the node id when neither the token nor the installer says one


@dataclass(frozen=True)
class Admission:
    """What the control plane decided."""

    node_id: str
    certificate: bytes
    ca: bytes
    fleet_address: str


class FrontDoor(Protocol):
    """The control plane's HTTPS side, as a box without a certificate sees it (adapter: agent.adapters.enroll_https)."""

    @property
    def url(self) -> str: ...

    def ca(self) -> bytes:
        """PEM of the CA that the server shows, over a connection that proves nothing. Raises Retryable, Rejected."""
        ...

    def enroll(self, wish: Wish, request: str, ca: bytes) -> Admission:
        """Send the token over a connection verified with `ca`.

        Raises:
            InvalidToken: used before, expired, withdrawn.
            Rejected: the server is not the one `ca` speaks for, or refuses the wish.
            Retryable: it cannot be reached.
        """
        ...


def join(wish: Wish, door: FrontDoor, keys: Keys, store: IdentityStore) -> Identity:
    """See the module's order. Raises InvalidToken, Rejected, Retryable; the box is then as it was."""
    key = keys.new_key()
    ca = door.ca()
    if keys.facts(ca).public_key != wish.token.ca_pin:
        raise InvalidToken(
            f"{door.url} is another control plane than the one that made this token; check the address, "
            "or make a token there with 'longshore token create'"
        )
    admission = door.enroll(wish, keys.request(key, wish.node_id or wish.host_name), ca)
    _check(admission, wish, keys, keys.public_key(key))
    store.stage_key(key)
    member = Membership(node_id(admission.node_id), door.url, admission.fleet_address, wish.role)
    return store.commit(member, admission.certificate, admission.ca)


def _check(admission: Admission, wish: Wish, keys: Keys, public_key: str) -> None:
    facts = keys.facts(admission.certificate)
    if keys.facts(admission.ca).public_key != wish.token.ca_pin or not keys.signed_by(
        admission.certificate, admission.ca
    ):
        raise Rejected("the control plane answered with a certificate of another CA; ask its operator")
    if facts.public_key != public_key or facts.node_id != admission.node_id:
        raise Rejected("the control plane answered with a certificate for another box; ask its operator")
