"""The CA a control plane shows, fetched before it is trusted, and the fingerprint a person or a token compares.

This is the one place of the CLI that talks to a server it has not verified: it asks for the public CA certificate and
sends nothing. Everything else goes over a new connection that trusts that CA only. It must be one certificate, which is
written anew: a second one beside it would be trusted without having been compared.
"""

from __future__ import annotations

import hashlib

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protos.errors import Rejected, Retryable

_SECONDS = 10.0
_MAX_BYTES = 64 << 10
_NO_CA = "what the server shows as its CA is no certificate; is this the control plane's address?"


def shown_ca(url: str) -> str:
    """The PEM of the one certificate that the server shows as its CA. Raises Retryable, Rejected."""
    try:
        # Unverified on purpose: what comes back is compared with a pin, and nothing secret is sent.
        answer = httpx.get(f"{url}/api/v1/ca", verify=False, timeout=_SECONDS)  # noqa: S501
    except httpx.InvalidURL as error:
        raise Rejected(f"{url!r} is no address of a control plane; write it like https://fleet.example:8443") from error
    except httpx.HTTPError as error:
        raise Retryable(f"nobody answers at {url}; is the control plane running, and is this its address?") from error
    if not answer.is_success or len(answer.content) > _MAX_BYTES:
        raise Rejected(f"{url} is no control plane: it shows no CA")
    return _only(answer.content).public_bytes(Encoding.PEM).decode()


def fingerprint(ca_pem: str) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER), hex: the pin of a join token. Raises Rejected."""
    try:
        key = _only(ca_pem.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Rejected(_NO_CA) from error
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _only(pem: bytes) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise Rejected(_NO_CA) from error
    if len(found) != 1:
        raise Rejected(
            f"the server shows {len(found)} certificates as its CA where one belongs; look for somebody in between"
        )
    return found[0]
