"""What a secret looks like, and text without any: for logs, and for bundles that travel to whoever helps. Pure.

Known by their shape: user information in URLs and secret fields of their paths and queries, join and API tokens, bearer
headers, private keys in PEM. In documents also by the name of their field. What looks like neither is not recognised,
so nothing that is a secret by its content alone may be put into a bundle.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"
_CREDENTIALS = re.compile(r"(\w+://)[^/?#\s]+@")  # up to the last @: a careless password may hold one
_SECRET_FIELD = re.compile(r"((?:pass|passwd|password|pwd|token|secret|auth|key|bearer)=)[^&/?#;\s\"']+", re.IGNORECASE)
_TOKENS = (
    (re.compile(r"LS1\.[0-9a-f]{64}\.[a-z0-9]+\.[A-Za-z0-9_-]+"), "LS1.***"),
    (re.compile(r"lsk_[A-Za-z0-9_-]{8,}"), "lsk_***"),
    (re.compile(r"([?&]code=)[^&#\s\"']+"), r"\1***"),  # of a sign-in link
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
)
_NAMES = re.compile(
    r"(?i)(?:.*[_-])?(?:pass|passwd|password|passphrase|pwd|token|secret|credentials?|bearer|authorization|cookie"
    r"|api[_-]?key|private[_-]?key|key[_-]?pem)"
)


def masked(text: str) -> str:
    """`text` without secrets that can be known by their shape."""
    for pattern, instead in _TOKENS:
        text = pattern.sub(instead, text)
    if "://" in text:
        text = _CREDENTIALS.sub(rf"\1{MASK}@", text)
    return _SECRET_FIELD.sub(rf"\1{MASK}", text)


def redacted(document: Any) -> Any:
    """A JSON document with every text masked, and with nothing under a name that means a secret."""
    if isinstance(document, dict):
        return {str(name): _value(str(name), value) for name, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [redacted(value) for value in document]
    return masked(document) if isinstance(document, str) else document


def _value(name: str, value: Any) -> Any:
    camel = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    if _NAMES.fullmatch(camel) and isinstance(value, str) and value:
        return MASK
    return redacted(value)
