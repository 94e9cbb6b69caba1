"""The CA a control plane shows, fetched before it is trusted, and the fingerprint a person or a token compares.

This is the one place of the CLI that talks to a server it has not verified: it asks for the public CA certificate and
sends nothing. Everything else goes over a new connection that trusts that CA only.
"""

from __future__ import annotations

import hashlib

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protos.errors import Rejected, Retryable

_SECONDS = 10.0
_MAX_BYTES = 64 << 10


def shown_ca(url: str) -> str:
    """The PEM of the CA. Raises Retryable, Rejected."""
    try:
        # Unverified on purpose: what comes back is compared with a pin, and nothing secret is sent.
        answer = httpx.get(f"{url}/api/v1/ca", verify=False, timeout=_SECONDS)  # noqa: S501
    except httpx.HTTPError as error:
        raise Retryable(f"nobody answers at {url}; is the control plane running, and is this its address?") from error
    if not answer.is_success or len(answer.content) > _MAX_BYTES:
        raise Rejected(f"{url} is no control plane: it shows no CA")
    return answer.text


def fingerprint(ca_pem: str) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER), hex: the pin of a join token."""
    try:
        key = x509.load_pem_x509_certificate(ca_pem.encode()).public_key()
    except ValueError as error:
        raise Rejected(
            "what the server shows as its CA is no certificate; is this the control plane's address?"
        ) from error
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
