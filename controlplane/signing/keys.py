"""Keys that sign, by `securesystemslib`: files of ours (Ed25519, PKCS#8, 0600), and public halves told by others.

No private key leaves this module but into its own file, closed to others. Keys that lie elsewhere: see `held`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from controlplane.files import PRIVATE, write_atomically
from protos.errors import Fatal, Rejected

__all__ = ["CryptoSigner", "Key", "Signer"]
_HTTP = ("requests", "urllib3")  # whose own words are addresses of objects and of requests


def new_key() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


def write_key(path: Path, key: CryptoSigner) -> None:
    """A new file, durable and readable by its owner only. Raises Fatal: one is there, or the disk."""
    _write_new(path, key.private_bytes, PRIVATE)


def write_pair(path: Path, key: CryptoSigner) -> Path:
    """The same, and its public half beside it, whose path is returned. Raises Fatal: one is there, or the disk."""
    half = path.parent / f"{path.stem}.pub"
    if half == path:
        raise Fatal(f"{path} is how its public half would be called; name it {path.stem}.key, say")
    _write_new(half, pem(key.public_key), 0o644)
    try:
        write_key(path, key)
    except Fatal:
        half.unlink()
        raise
    return half


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        if path.exists():
            raise Fatal(f"{path} is there already; a key is never overwritten, so move it away first")
        write_atomically(path, content, mode)
    except OSError as error:
        raise Fatal(
            f"cannot write {path} ({error.strerror}); see that there is room and you may write there"
        ) from error


def read_key(path: Path) -> CryptoSigner:
    """Raises Rejected: there is none, it is damaged, or it wants a passphrase."""
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), password=None))
    except OSError as error:
        raise Rejected(f"cannot read the key {path} ({error.strerror}); name another with --key") from error
    except Exception as error:  # whatever a foreign file makes the parser say
        raise Rejected(f"{path} is no private key in PEM without a passphrase; name another with --key") from error


def read_public(path: Path, instead: str = "name another with --public") -> Key:
    """Raises Rejected; `instead`: what to do then."""
    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise Rejected(f"cannot read the public key {path} ({error.strerror}); {instead}") from error
    except Exception as error:  # as above
        raise Rejected(f"{path} is no public key in PEM; {instead}") from error


def public_key(key_id: str, fields: dict[str, Any]) -> Key:
    """As another told it. Raises Rejected."""
    try:
        return Key.from_dict(key_id, fields)
    except (KeyError, ValueError, TypeError) as error:
        raise Rejected("the control plane told a key that this command does not know; update it") from error


def pem(key: Key) -> bytes:
    """The public half, as others may be given it. Raises Rejected."""
    try:
        value = key.keyval["public"]
        found = load_pem_public_key(value.encode()) if value.startswith("-") else _ed25519(value)
        return found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:  # as above
        raise Rejected(f"{key.keyid[:12]} is no key that this command knows; update it") from error


def _ed25519(value: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(value))


def fingerprint(key: Key) -> str:
    """What a key is called when nobody calls it otherwise: its SHA-256. Another's name would hide whose it is."""
    told = encode_canonical({"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval})
    return hashlib.sha256(str(told).encode()).hexdigest()


def told_by(error: BaseException) -> str:
    """In a few words; of a request that did not get through, what the network said."""
    while type(error).__module__.partition(".")[0] in _HTTP and (cause := error.__cause__ or error.__context__):
        error = cause
    return " ".join(str(getattr(error, "strerror", "") or error).split())[:200] or type(error).__name__
