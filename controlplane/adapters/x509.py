"""Certificates by `cryptography`, and by it alone. PEM and values in, PEM and values out; no file is touched."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controlplane.errors import Unauthenticated
from controlplane.trust.domain import Validity, device_uri, validity
from controlplane.trust.ports import Issued, KeyPair
from protos.errors import Fatal, Rejected
from protos.ids import NodeId, node_host

CA_DAYS = 3650  # replaced by hand: every box pins its key
MAX_CSR = 16_384  # bytes; a P-256 request has under 1 kB

PublicKey = ec.EllipticCurvePublicKey
# What `cryptography` raises at a request or certificate that is broken or of a kind it does not know.
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


class LocalAuthority:
    """Implements controlplane.trust.ports.Authority with a key in this process."""

    def __init__(self, certificate_pem: str, key_pem: str) -> None:
        """Raises Fatal when the two are not a CA of ours."""
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
            key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        except ValueError as error:
            raise Fatal("the CA's files are damaged; restore them from a backup") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or _spki(key.public_key()) != self._spki():
            raise Fatal("the CA's key does not belong to its certificate; restore both from one backup")
        self._key = key
        self.ca_pem = certificate_pem
        self.ca_pin = hashlib.sha256(self._spki()).hexdigest()

    def sign_device(self, csr_pem: str, node: NodeId, unix: float, days: float) -> Issued:
        names = [x509.UniformResourceIdentifier(device_uri(node)), x509.DNSName(node_host(node))]
        # A cloud node also answers other boxes, as a TLS server under its own name.
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        key = _p256(_request(csr_pem).public_key())
        return _issued(self._sign(key, node, names, usages, validity(unix, days)))

    def proven(self, certificate_pem: str, csr_pem: str, proof: bytes) -> str:
        request = _request(csr_pem).public_bytes(serialization.Encoding.DER)
        return self.speaker(certificate_pem.encode(), request, proof)

    def vouch(self, spoken: bytes) -> bytes:
        return self._key.sign(spoken, ec.ECDSA(hashes.SHA256()))

    def speaker(self, certificate_pem: bytes, spoken: bytes, signature: bytes) -> str:
        # Parsed once: what is looked up by its fingerprint is the very certificate whose key was checked.
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = certificate.public_key()
        except _UNREADABLE as error:
            raise Unauthenticated("what was sent is no certificate of a box; join again with a new token") from error
        try:
            _p256(key).verify(signature, spoken, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise Unauthenticated("this is not signed with the key of the certificate it came with") from error
        return certificate.fingerprint(hashes.SHA256()).hex()

    def issue_server(self, names: Sequence[str], unix: float, days: float) -> KeyPair:
        return self._pair(
            names[0], [_general_name(name) for name in names], ExtendedKeyUsageOID.SERVER_AUTH, unix, days
        )

    def issue_client(self, common_name: str, unix: float, days: float) -> KeyPair:
        return self._pair(common_name, [], ExtendedKeyUsageOID.CLIENT_AUTH, unix, days)

    def _pair(
        self,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        unix: float,
        days: float,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        span = validity(unix, days)
        certificate = self._sign(key.public_key(), common_name, names, [usage], span)
        return KeyPair(_pem(certificate), _key_pem(key), span.not_after * 1000)

    def _sign(
        self,
        key: PublicKey,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        span: Validity,
    ) -> x509.Certificate:
        builder = (
            _builder(key, _name(common_name), self._certificate.subject, span)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_key_usage(ca=False), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _spki(self) -> bytes:
        key = self._certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Fatal("the CA's key is no P-256 key; restore the CA's files from a backup")
        return _spki(key)


def new_ca(unix: float) -> tuple[str, str]:
    """Certificate and key (PEM) of a fresh CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Longshore CA")
    certificate = (
        _builder(key.public_key(), name, name, validity(unix, CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _request(csr_pem: str) -> x509.CertificateSigningRequest:
    """Checked: of a P-256 key, and signed by it."""
    if len(csr_pem) > MAX_CSR:
        raise Rejected(f"the certificate request is larger than {MAX_CSR} bytes; send a PKCS#10 request in PEM")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key, sound = request.public_key(), request.is_signature_valid
    except _UNREADABLE as error:
        raise Rejected("the certificate request cannot be read; send a PKCS#10 request in PEM") from error
    _p256(key)
    if not sound:
        raise Rejected("the certificate request is not signed by its own key")
    return request


def _p256(key: CertificatePublicKeyTypes) -> PublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Rejected("the key of a box must be a P-256 key")
    return key


def _builder(key: PublicKey, subject: x509.Name, issuer: x509.Name, span: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(span.not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(span.not_after, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _issued(certificate: x509.Certificate) -> Issued:
    return Issued(
        pem=_pem(certificate),
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        public_key=hashlib.sha256(_spki(_p256(certificate.public_key()))).hexdigest(),
        not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
    )


def _spki(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
