"""A certificate authority for tests: P-256, backdated like the real one; makes every kind of wrong certificate too."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BACKDATED = 48 * 3600.0  # seconds
DAY = 86_400.0


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _when(unix: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix, tz=dt.UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


@dataclass
class SimAuthority:
    """`now`: unix seconds by the authority's own, right clock."""

    now: float
    name: str = "sim ca"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        builder = self._builder(_name(self.name), self.key.public_key(), BACKDATED, 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        builder = builder.add_extension(usage, critical=True).add_extension(identifier, critical=False)
        self.certificate = builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        return digest.finalize().hex()

    def device(self, request_pem: str, node: str, life: float = 30 * DAY, backdated: float = BACKDATED) -> bytes:
        """A box's certificate for the key in its request."""
        request = x509.load_pem_x509_csr(request_pem.encode())
        assert request.is_signature_valid
        public_key = request.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        names = [x509.UniformResourceIdentifier(f"spiffe://longshore/device/{node}")]
        return self._leaf(public_key, names, life, backdated)

    def server(
        self, host: str = "127.0.0.1", life: float = 30 * DAY, backdated: float = BACKDATED
    ) -> tuple[bytes, bytes]:
        """(certificate, key) of a server at `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
        return self._leaf(key.public_key(), names, life, backdated), pem_of(key)

    def server_context(self, folder: Path, certificate: tuple[bytes, bytes]) -> ssl.SSLContext:
        """For a TLS server; `ssl` reads key and certificate from files only."""
        both = folder / f"server-{self.name.replace(' ', '-')}.pem"
        both.write_bytes(b"".join(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    def _leaf(
        self, public_key: ec.EllipticCurvePublicKey, names: Sequence[x509.GeneralName], life: float, backdated: float
    ) -> bytes:
        builder = self._builder(_name("leaf"), public_key, backdated, life)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(authority, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, backdated: float, life: float
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.name))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_when(self.now - backdated))
            .not_valid_after(_when(self.now + life))
        )
