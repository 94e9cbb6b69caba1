"""Where the CA and our own key pairs lie: `<state>/controlplane/ca/`, keys readable by us only.

ca.pem   ca.key        the authority, made at the first start, never replaced
<name>.pem <name>.key  key pairs written for programs that read files (the broker, its client)
"""

from __future__ import annotations

from pathlib import Path

from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.files import PRIVATE, private_folder, write_atomically
from controlplane.trust.ports import KeyPair
from protos.errors import Fatal


def load_or_create(folder: Path, unix: float) -> LocalAuthority:
    """The authority in `folder`, made at the first call. Raises Fatal when half of it is missing."""
    private_folder(folder)
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() and not key.exists():
        raise Fatal(f"{key} is missing; restore it from a backup, or every box must join again")
    if not certificate.exists():
        # The certificate is written last: while it is absent nobody can have pinned the key.
        certificate_pem, key_pem = new_ca(unix)
        write_atomically(key, key_pem.encode(), PRIVATE)
        write_atomically(certificate, certificate_pem.encode())
    return LocalAuthority(certificate.read_text(), key.read_text())


def write_pair(folder: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    """Certificate and key of `pair` as files for a program that wants paths."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    write_atomically(key, pair.key_pem.encode(), PRIVATE)
    write_atomically(certificate, pair.certificate_pem.encode())
    return certificate, key
