"""Keys that sign, by `securesystemslib`: files of ours (Ed25519, PKCS#8, 0600), and whatever a key URI names.

A URI (`hsm:`, `hv:`, `awskms:`, `gcpkms:`, `azurekms:`, `file2:`) is tried against the public keys that the role
trusts; the one it really signs for is its own. No private key leaves this file but into its own, closed to others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Key, Signer, SSlibKey

from protos.errors import Fatal, Rejected

__all__ = ["CryptoSigner", "Key", "Signer"]
_PROBE = b"longshore: does this key answer to that name?"


def new_key() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


def write_key(path: Path, key: CryptoSigner) -> None:
    """A new file, durable and readable by its owner only. Raises Fatal: one is there, or the disk."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.exists():
            raise Fatal(f"{path} is there already; a key is never overwritten, so move it away first")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        _sync(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Fatal(
            f"cannot write {path} ({error.strerror}); see that there is room and you may write there"
        ) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_key(path: Path) -> CryptoSigner:
    """Raises Rejected: there is none, it is damaged, or it wants a passphrase."""
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), password=None))
    except OSError as error:
        raise Rejected(f"cannot read the key {path} ({error.strerror}); name another with --key") from error
    except Exception as error:  # whatever a foreign file makes the parser say
        raise Rejected(f"{path} is no private key in PEM without a passphrase; name another with --key") from error


def read_public(path: Path) -> Key:
    """Raises Rejected."""
    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise Rejected(f"cannot read the public key {path} ({error.strerror}); name another with --public") from error
    except Exception as error:  # as above
        raise Rejected(f"{path} is no public key in PEM; name another with --public") from error


def public_key(key_id: str, fields: dict[str, Any]) -> Key:
    """As another told it. Raises Rejected."""
    try:
        return Key.from_dict(key_id, fields)
    except (KeyError, ValueError, TypeError) as error:
        raise Rejected("the control plane told a key that this command does not know; update it") from error


def opened(name: str, trusted: Iterable[Key]) -> Signer:
    """The signer that a file name or a key URI means; a URI's must be one of `trusted`. Raises Rejected."""
    scheme = name.partition(":")[0]
    if ":" not in name or scheme not in SIGNER_FOR_URI_SCHEME:
        return read_key(Path(name))
    reasons = []
    for key in trusted:
        try:
            signer = Signer.from_priv_key_uri(name, key)
            key.verify_signature(signer.sign(_PROBE), _PROBE)
        except Exception as error:  # noqa: BLE001 - every kind of signer raises its own
            reasons.append(str(error))
        else:
            return signer
    why = reasons[0] if reasons else "no key is trusted yet"
    raise Rejected(f"{scheme}: gives no signature of a key that may sign this ({why}); see 'longshore keys'")
