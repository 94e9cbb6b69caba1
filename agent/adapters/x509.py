"""Keys and certificates with `cryptography`: P-256 keys made here, PKCS#10 requests, facts of certificates.

`cryptography` is loaded with the first call: a box needs it to join and to renew, not to run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.identity.decisions import CertificateFacts
from protos.errors import Rejected

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.x509 import Certificate

_SPIFFE = "spiffe://"
_DEVICE = "/device/"


class X509Keys:
    """See agent.identity.store.Keys."""

    def new_key(self) -> bytes:
        """See the port."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def request(self, key: bytes, node_id: str) -> str:
        """The subject is a wish; the control plane uses only the public key."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, node_id)] if node_id else []
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
        return builder.sign(_private(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def public_key(self, key: bytes) -> str:
        return _fingerprint(_private(key).public_key())

    def prove(self, key: bytes, request: str) -> bytes:
        """See the port."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        return self.sign(key, x509.load_pem_x509_csr(request.encode()).public_bytes(serialization.Encoding.DER))

    def sign(self, key: bytes, spoken: bytes) -> bytes:
        """See the port."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return _private(key).sign(spoken, ec.ECDSA(hashes.SHA256()))

    def vouched(self, ca: bytes, spoken: bytes, signature: bytes) -> bool:
        """See the port."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = _load(ca).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        try:
            key.verify(signature, spoken, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def only(self, pem: bytes) -> bytes:
        """See the port."""
        from cryptography.hazmat.primitives import serialization

        return _load(pem).public_bytes(serialization.Encoding.PEM)

    def facts(self, certificate: bytes) -> CertificateFacts:
        """See the port."""
        found = _load(certificate)
        with _translated():
            return CertificateFacts(
                not_before=found.not_valid_before_utc.timestamp(),
                not_after=found.not_valid_after_utc.timestamp(),
                public_key=_fingerprint(found.public_key()),
                node_id=_node_id(found),
            )

    def signed_by(self, certificate: bytes, ca: bytes) -> bool:
        """See the port."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        leaf, root = _load(certificate), _load(ca)
        try:
            leaf.verify_directly_issued_by(root)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True


def _load(pem: bytes) -> Certificate:
    from cryptography import x509

    with _translated():
        found = x509.load_pem_x509_certificates(pem)
    if len(found) != 1:
        raise Rejected(f"{len(found)} certificates came where one belongs; look for somebody in between")
    return found[0]


def _private(key: bytes) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Rejected("this box's key is not readable; join it again") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Rejected("this box's key is no elliptic-curve key; join it again")
    return private


@contextmanager
def _translated() -> Iterator[None]:
    """What `cryptography` raises at a certificate that is broken or of a kind it does not know."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    unreadable = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
    try:
        yield
    except unreadable as error:
        raise Rejected("this is no PEM certificate; check that the address is a Longshore control plane") from error


def _fingerprint(public_key: CertificatePublicKeyTypes) -> str:
    from cryptography.hazmat.primitives import serialization

    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _node_id(certificate: Certificate) -> str:
    """Of `spiffe://<domain>/device/<node>`, "" when there is none."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        _, found, node = uri.partition(_DEVICE)
        if uri.startswith(_SPIFFE) and found:
            return node
    return ""
