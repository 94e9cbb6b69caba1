"""Who may come in, decided from stored facts and `now`; nothing here reads a clock, a row or a key.

Each way a join token can be wrong has its own sentence, but only for somebody who knows its secret: a wrong secret and
an unknown id read the same, and secrets are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.config import Config, is_loopback
from controlplane.errors import Unauthenticated
from protos import ids
from protos.errors import InvalidToken, Rejected
from protos.ids import NodeId
from protos.tokens import JoinToken

ROLES = ("edge", "cloud")
API_TOKEN_PREFIX = "lsk_"  # noqa: S105 - a prefix that secret scanners know
CODE_SECONDS = 15 * 60  # a sign-in link is used at once or asked for again
SESSION_SECONDS = 12 * 3600  # a working day
MAX_LABELS = 64
MAKE_ANOTHER = "make another with 'longshore token create'"
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True)
class StoredToken:
    """A join token as kept: without its secret."""

    id: str
    secret_hash: str
    node: NodeId | None  # None: the box says its name
    labels: Mapping[str, str]
    role: str
    expires_ms: int
    used_ms: int | None = None
    used_by: str | None = None


@dataclass(frozen=True)
class Wish:
    """What a box asks for when it joins."""

    node: str
    labels: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    host_name: str = ""  # taken when neither the token nor `node` says one


@dataclass(frozen=True)
class Admission:
    """What it gets. `rejoin`: the token names a node that may exist already."""

    node: NodeId
    labels: dict[str, str]
    role: str
    rejoin: bool


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def fingerprint(certificate_pem: bytes) -> str:
    """SHA-256 of the certificate's DER, hex: what certificates are looked up by. Raises Unauthenticated."""
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate_pem.decode("ascii").strip())
    except ValueError as error:
        raise Unauthenticated("this connection shows no certificate; join with a token first") from error
    return hashlib.sha256(der).hexdigest()


def check_pin(token: JoinToken, ca_pin: str) -> None:
    if not hmac.compare_digest(token.ca_pin, ca_pin):
        raise InvalidToken(f"this join token is of another control plane; {MAKE_ANOTHER} here")


def check_token(token: JoinToken, stored: StoredToken | None, now_ms: int) -> StoredToken:
    """The stored token, good for one use now.

    Raises:
        InvalidToken: saying which way it is wrong.
    """
    known = stored.secret_hash if stored else hashed("")
    if not hmac.compare_digest(token.secret_hash, known) or stored is None:
        raise InvalidToken(f"this join token is not known here; {MAKE_ANOTHER}")
    if stored.used_ms is not None:
        raise InvalidToken(f"this join token was used already, by {stored.used_by}; {MAKE_ANOTHER}")
    if stored.expires_ms <= now_ms:
        raise InvalidToken(f"this join token has expired; {MAKE_ANOTHER}")
    return stored


def admit(stored: StoredToken, wish: Wish, fallback: str) -> Admission:
    """What the token allows of the wish: the token's own words win, free places are filled from the wish.

    Raises:
        Rejected: the wish contradicts the token, or breaks a rule.
    """
    if stored.node and wish.node and wish.node != stored.node:
        raise InvalidToken(f"this join token is for node {stored.node}, not {wish.node!r}; leave --node-id out")
    if wish.role and wish.role != stored.role:
        raise InvalidToken(
            f"this join token is for role {stored.role}; {MAKE_ANOTHER} --role {checked_role(wish.role)}"
        )
    node = stored.node or ids.node_id(wish.node or wish.host_name or fallback)
    labels = checked_labels({**wish.labels, **stored.labels})
    return Admission(node, labels, stored.role, rejoin=stored.node is not None)


def checked_role(role: str) -> str:
    if role not in ROLES:
        raise Rejected(f"role {role!r} must be one of {', '.join(ROLES)}")
    return role


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Kubernetes' rules for labels. Raises Rejected."""
    if len(labels) > MAX_LABELS:
        raise Rejected(f"{len(labels)} labels are more than the {MAX_LABELS} allowed")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise Rejected(f"label key {key!r} must be at most 63 letters, digits, '.', '_' and '-'")
        if not _LABEL_VALUE.fullmatch(value):
            raise Rejected(f"label value {value!r} must be at most 63 letters, digits, '.', '_' and '-'")
    return dict(labels)


def broker_problem(config: Config) -> str | None:
    """Why a box that joins from another machine could not report safely; None when it can."""
    broker = config.broker_for_boxes
    if is_loopback(config.advertised) or (broker is not None and broker.tls and not broker.on_loopback):
        return None
    return (
        "boxes beyond this machine need a broker that demands client certificates, and there is none; install the "
        "Debian package 'mosquitto' and start again, or name yours with --broker-advertise-url mqtts://host:8883"
    )


@dataclass(frozen=True)
class Guesses:
    """A bucket of allowed wrong guesses, refilled with time; one for each place guesses come from."""

    left: float
    at: float  # monotonic seconds

    BURST = 20.0  # an installer mistypes a few times
    PER_SECOND = 0.1

    def refilled(self, now: float) -> Guesses:
        return Guesses(min(self.BURST, self.left + (now - self.at) * self.PER_SECOND), now)

    def spent(self, now: float) -> Guesses:
        full = self.refilled(now)
        return Guesses(max(0.0, full.left - 1), now)

    @property
    def allowed(self) -> bool:
        return self.left >= 1
