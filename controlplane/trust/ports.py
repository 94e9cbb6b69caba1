"""The certificate authority and the notary as the services see them; step-ca or Vault may stand behind them later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.signing.documents import Document
from protos.ids import NodeId
from protos.trust import Assignment


@dataclass(frozen=True)
class Issued:
    """One certificate, as stored and sent."""

    pem: str
    serial: str  # hex
    fingerprint: str  # SHA-256 of the DER, hex
    public_key: str  # SHA-256 of its SubjectPublicKeyInfo, hex
    not_after_ms: int


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its private key, for a server or client of our own."""

    certificate_pem: str
    key_pem: str = field(repr=False)
    not_after_ms: int = 0


class Authority(Protocol):
    """Issues and names. Every certificate is valid from 48 h ago, because box clocks are wrong."""

    @property
    def ca_pem(self) -> str:
        """What boxes and browsers may trust."""
        ...

    @property
    def ca_pin(self) -> str:
        """SHA-256 of the CA's SubjectPublicKeyInfo, hex: the first part of every join token."""
        ...

    def sign_device(self, csr_pem: str, node: NodeId, unix: float, days: float) -> Issued:
        """A client certificate for the public key in `csr_pem`; nothing else of it is used.

        Raises:
            Rejected: no PKCS#10 request, a bad self-signature, or another key than P-256.
        """
        ...

    def proven(self, certificate_pem: str, csr_pem: str, proof: bytes) -> str:
        """The fingerprint of the certificate in `certificate_pem`, whose key made `proof`.

        `proof`: ECDSA with SHA-256 over the DER bytes of the request. Whether the certificate is one of ours, and still
        good for anything, its fingerprint tells.

        Raises:
            Unauthenticated: no certificate, or the proof is of another key or another request.
            Rejected: as `sign_device`.
        """
        ...

    def vouch(self, spoken: bytes) -> bytes:
        """By the CA's key, which every box pins: ECDSA with SHA-256. `spoken`: see protos.carried."""
        ...

    def speaker(self, certificate_pem: bytes, spoken: bytes, signature: bytes) -> str:
        """The fingerprint of the certificate whose key signed `spoken`; whose that is, and if it counts, it tells.

        Raises:
            Unauthenticated: no certificate, or the signature is of another key or of something else.
        """
        ...

    def issue_server(self, names: Sequence[str], unix: float, days: float) -> KeyPair:
        """For HTTPS, gRPC or the broker; `names` are host names and addresses."""
        ...

    def issue_client(self, common_name: str, unix: float, days: float) -> KeyPair:
        """For our own MQTT user: a common name that no node id can equal."""
        ...


@dataclass(frozen=True)
class PublicKey:
    """As signed metadata has it: id, and `keytype`, `scheme`, `keyval`."""

    id: str
    fields: Mapping[str, object]


class Notary(Protocol):
    """Reads signed metadata, and signs with the online keys. `contents`: the newest documents by role, as signed."""

    def read(self, contents: Mapping[str, bytes], role: str, by: bytes | None = None) -> Document:
        """With whose signatures count, by the role's delegator in `contents`, or by `by`. Raises Rejected."""
        ...

    def able(self, contents: Mapping[str, bytes], role: str) -> bool:
        """Whether the keys held here are enough for an online role."""
        ...

    def sign(
        self, contents: Mapping[str, bytes], role: str, wanted: Iterable[Assignment], now: int, life: int
    ) -> bytes:
        """The next version of an online role, of these contents. `wanted` is for `assign`; `now` in Unix seconds.

        `life`: seconds that it is good for new installs. Raises Retryable: a key that lies elsewhere is away.
        """
        ...

    def new_key(self) -> PublicKey:
        """Make an online key pair, kept here; it signs once root or targets name it. Raises Fatal."""
        ...

    def forget_unused(self, contents: Mapping[str, bytes]) -> None:
        """Delete online keys that were named before and are no longer."""
        ...
