"""The join token: `LS1.<sha256 of the CA's public key, hex>.<id>.<secret>`.

The pin comes first because it is used first: the agent compares the CA a server shows with it before any part of the
secret leaves the box. The control plane stores only the SHA-256 of the secret.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from protos.errors import InvalidToken

_TOKEN = re.compile(r"LS1\.([0-9a-f]{64})\.([a-z0-9]{8,32})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class JoinToken:
    ca_pin: str  # SHA-256 of the CA's SubjectPublicKeyInfo (DER), hex
    token_id: str
    secret: str = field(repr=False)  # 256 bit, base64url without padding

    def __str__(self) -> str:
        return f"LS1.{self.ca_pin}.{self.token_id}.{self.secret}"

    @property
    def secret_hash(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()


def parse(text: str) -> JoinToken:
    """Raises InvalidToken when `text` is no join token; never echoes it."""
    found = _TOKEN.fullmatch(text.strip())
    if not found:
        raise InvalidToken("this is no join token; make one with 'longshore token create' and copy the whole line")
    return JoinToken(*found.groups())
