"""SoftHSM2: a PKCS#11 token in a folder. Its library reads the folder's name once, when a process first asks it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.servers.require import missing, program

PIN = "5678"
_LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


@dataclass(frozen=True)
class Token:
    """One EC key pair of id 2 on a token of this label."""

    label: str
    environment: dict[str, str]

    @property
    def uri(self) -> str:
        return f"hsm:2?label={self.label}"


def made(folder: Path, *labels: str) -> dict[str, Token]:
    """Tokens by label."""
    util = program("softhsm2-util", "softhsm2")
    library = next((each for each in _LIBRARIES if Path(each).exists()), None) or missing("SoftHSM2", "softhsm2")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(configuration), "PYKCS11LIB": library}
    for label in labels:
        key = ec.generate_private_key(ec.SECP256R1())
        path = folder / f"{label}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        new = ["--init-token", "--free", "--label", label, "--so-pin", "1234", "--pin", PIN]
        imported = ["--import", str(path), "--token", label, "--label", "signer", "--id", "02", "--pin", PIN]
        for words in (new, imported):
            subprocess.run([util, *words], env={**os.environ, **environment}, check=True, capture_output=True)
        path.unlink()
    return {label: Token(label, environment) for label in labels}


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Token]:
    """Of Ann and Bo, for all tests of this process."""
    return made(tmp_path_factory.mktemp("softhsm"), "ann", "bo")
