"""Identity: what a joined box holds, and the port that keeps it (adapter: agent.adapters.identity_dir)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from agent.identity.decisions import CertificateFacts
from protos.ids import NodeId


@dataclass(frozen=True)
class Membership:
    """What joining settled and no renewal changes."""

    node_id: NodeId
    url: str  # of the control plane, as the installer typed it
    fleet_address: str  # host:port of gRPC
    role: str = "edge"

    @property
    def fleet(self) -> str:
        """host:port of gRPC, as this box dials it."""
        return self.dialled(f"//{self.fleet_address}").removeprefix("//")

    def dialled(self, url: str) -> str:
        """`url` of desired state, as this box dials it.

        What the control plane calls itself may mean nothing here, as on its own machine behind NAT: a box goes on by
        the name it joined at, which is in the same certificates.
        """
        there, told, joined = urlsplit(url), urlsplit(f"//{self.fleet_address}"), urlsplit(self.url)
        if there.hostname != told.hostname or not joined.hostname:
            return url
        host = f"[{joined.hostname}]" if ":" in joined.hostname else joined.hostname
        return there._replace(netloc=f"{host}:{there.port}" if there.port else host).geturl()


@dataclass(frozen=True)
class Identity:
    """A joined box. PEM as bytes; the key never leaves the box."""

    member: Membership
    certificate: bytes
    ca: bytes
    key: bytes = field(repr=False)


class Keys(Protocol):
    """Keys and certificates (adapter: agent.adapters.x509)."""

    def new_key(self) -> bytes:
        """A fresh private key, PEM."""
        ...

    def request(self, key: bytes, node_id: str) -> str:
        """A certificate request for `key`, PEM."""
        ...

    def public_key(self, key: bytes) -> str:
        """SHA-256 of the key's SubjectPublicKeyInfo, hex: as in CertificateFacts."""
        ...

    def prove(self, key: bytes, request: str) -> bytes:
        """`key` vouches for `request`: ECDSA with SHA-256 over its DER bytes. Raises Rejected."""
        ...

    def sign(self, key: bytes, spoken: bytes) -> bytes:
        """ECDSA with SHA-256. `spoken`: see protos.carried. Raises Rejected."""
        ...

    def vouched(self, ca: bytes, spoken: bytes, signature: bytes) -> bool:
        """Whether the key of `ca` (PEM) signed `spoken` so. Raises Rejected when `ca` is not one certificate."""
        ...

    def only(self, pem: bytes) -> bytes:
        """The one certificate in `pem`, written anew: what is trusted is what was looked at, and nothing beside it.

        Raises:
            Rejected: there is none, or more than one.
        """
        ...

    def facts(self, certificate: bytes) -> CertificateFacts:
        """Raises Rejected when this is not one certificate."""
        ...

    def signed_by(self, certificate: bytes, ca: bytes) -> bool: ...


class IdentityStore(Protocol):
    """Keeps one identity. A crash between any two calls leaves the old identity or the new one, never half of each."""

    def load(self) -> Identity:
        """Raises Rejected when this box has not joined."""
        ...

    def facts(self) -> CertificateFacts:
        """Of the certificate in use. Raises as `load`."""
        ...

    def stage_key(self, key: bytes, token_id: str = "") -> None:
        """Keep a fresh key aside, readable by this user only, until `commit`: for a renewal, or for joining."""
        ...

    def staged_key(self, token_id: str) -> bytes | None:
        """The key that was kept aside for joining with this token."""
        ...

    def commit(self, member: Membership, certificate: bytes, ca: bytes, root: bytes | None = None) -> Identity:
        """`certificate` and the staged key that fits it are the identity from now on.

        `root`: of signed metadata, trusted first from now on. Empty, the one before stays where `ca` does; None, it
        stays in any case.
        """
        ...
