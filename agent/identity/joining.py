"""Joining a control plane with a token, in the order that keeps the secret safe:

read the token · make the key on the box, aside · fetch the CA (not trusted) · compare it with the token's pin · open a
new, verified connection · only then send the secret · check what came back · keep it. The box is a member after the
last step and as it was before that. The key aside makes a second try with the token the same request as the first, so
that an answer that got lost on its way does not cost the token.

What a stranger shows as its CA must be one certificate: it is compared, and it alone is trusted. A second one beside it
would be trusted without having been compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    role: str = ""  # as the token says
    agent_version: str = ""
    host_name: str = ""  # the node id when neither the token nor the installer says one
    leave_fleet: bool = False  # the one this box is in, for another


@dataclass(frozen=True)
class Admission:
    """What the control plane decided."""

    node_id: str
    role: str
    certificate: bytes
    ca: bytes
    fleet_address: str
    root: bytes = b""  # of signed metadata, which this box trusts first; empty from a control plane without


class FrontDoor(Protocol):
    """The control plane's HTTPS side, as a box without a certificate sees it (adapter: agent.adapters.enroll_https)."""

    @property
    def url(self) -> str: ...

    def ca(self) -> bytes:
        """What the server shows as its CA, over a connection that proves nothing. Raises Retryable, Rejected."""
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
    _check_membership(wish, keys, store)
    key = _key(wish, keys, store)
    ca = keys.only(door.ca())
    if keys.facts(ca).public_key != wish.token.ca_pin:
        raise InvalidToken(
            f"{door.url} is another control plane than the one that made this token; check the address, "
            "or make a token there with 'longshore token create'"
        )
    admission = door.enroll(wish, keys.request(key, wish.node_id or wish.host_name), ca)
    admission = replace(admission, ca=keys.only(admission.ca), certificate=keys.only(admission.certificate))
    _check(admission, wish, keys, keys.public_key(key))
    member = Membership(node_id(admission.node_id), door.url, admission.fleet_address, admission.role)
    return store.commit(member, admission.certificate, admission.ca, admission.root)


def _check_membership(wish: Wish, keys: Keys, store: IdentityStore) -> None:
    """A slip of the installer must not take a box out of its fleet."""
    try:
        old = store.load()
        stays = keys.facts(old.ca).public_key == wish.token.ca_pin
    except Rejected:
        return  # it is in no fleet, or its identity cannot be read, which joining mends
    if not stays and not wish.leave_fleet:
        raise Rejected(
            f"this box is {old.member.node_id} in the fleet of {old.member.url}, and the token is of another control "
            "plane; to leave that fleet, join with --replace"
        )


def _key(wish: Wish, keys: Keys, store: IdentityStore) -> bytes:
    """The key of an earlier try with this token, or a fresh one."""
    kept = store.staged_key(wish.token.token_id)
    if kept is not None:
        return kept
    key = keys.new_key()
    store.stage_key(key, wish.token.token_id)
    return key


def _check(admission: Admission, wish: Wish, keys: Keys, public_key: str) -> None:
    facts = keys.facts(admission.certificate)
    if keys.facts(admission.ca).public_key != wish.token.ca_pin or not keys.signed_by(
        admission.certificate, admission.ca
    ):
        raise Rejected("the control plane answered with a certificate of another CA; ask its operator")
    if facts.public_key != public_key or facts.node_id != admission.node_id:
        raise Rejected("the control plane answered with a certificate for another box; ask its operator")
