"""A box that wants to join: its key and every kind of certificate request it may send."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, common_name: str = "whatever") -> str:
    """A PKCS#10 request, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def proof(key: ec.EllipticCurvePrivateKey, request: str) -> bytes:
    """That whoever sends `request` has `key`, as late renewal wants it."""
    content = x509.load_pem_x509_csr(request.encode()).public_bytes(serialization.Encoding.DER)
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def new_request(common_name: str = "whatever") -> str:
    return request_of(new_key(), common_name)


def tampered_request() -> str:
    """A request whose signature is not of its content."""
    request = x509.load_pem_x509_csr(new_request().encode()).public_bytes(serialization.Encoding.DER)
    broken = request.replace(b"whatever", b"whatevex")
    return x509.load_der_x509_csr(broken).public_bytes(serialization.Encoding.PEM).decode()
