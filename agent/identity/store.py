"""Identity: what a joined box holds, and the port that keeps it (adapter: agent.adapters.identity_dir)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from agent.identity.decisions import CertificateFacts
from protos.ids import NodeId


@dataclass(frozen=True)
class Membership:
    """What joining settled and no renewal changes."""

    node_id: NodeId
    url: str  # of the control plane, as the installer typed it
    fleet_address: str  # host:port of gRPC
    role: str = "edge"


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

    def facts(self, certificate: bytes) -> CertificateFacts:
        """Raises Rejected when this is no certificate."""
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

    def stage_key(self, key: bytes) -> None:
        """Keep a fresh key aside, readable by this user only, until `commit`."""
        ...

    def commit(self, member: Membership, certificate: bytes, ca: bytes) -> Identity:
        """The staged key and `certificate` are the identity from now on."""
        ...
