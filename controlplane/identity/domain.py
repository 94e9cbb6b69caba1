"""Who may come in, decided from stored facts and `now`; nothing here reads a clock, a row or a key.

Each way a join token can be wrong has its own sentence, but only for somebody who knows its secret: a wrong secret and
an unknown id read the same, and secrets are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.config import Broker, Config, bracketed, is_loopback
from controlplane.errors import Forbidden, Unauthenticated
from controlplane.fleet import selectors
from protos import ids
from protos.errors import InvalidToken, Rejected
from protos.ids import NodeId
from protos.tokens import JoinToken

COMMANDS = {"edge": "longshore-agent run", "cloud": "longshore-agent serve"}  # by role
API_TOKEN_PREFIX = "lsk_"  # noqa: S105 - a prefix that secret scanners know
CODE_SECONDS = 15 * 60  # a sign-in link is used at once or asked for again
SESSION_SECONDS = 12 * 3600  # a working day
DAY_MS = 86_400_000
KEEP_TOKENS_MS = 7 * DAY_MS  # after a join token's end: long enough to see who used it
MAKE_ANOTHER = "make another with 'longshore token create'"
JOIN_AGAIN = "join again with a new token"


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


@dataclass(frozen=True)
class StoredCertificate:
    """A certificate that was given to a node which is there, and was not revoked."""

    node: NodeId
    not_after_ms: int


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
    """`ca_pin`: of this control plane. Raises InvalidToken."""
    if not hmac.compare_digest(token.ca_pin, ca_pin):
        raise InvalidToken(f"this join token is of another control plane; {MAKE_ANOTHER} here")


def known(token: JoinToken, stored: StoredToken | None) -> StoredToken:
    """The stored token, if `token` has its secret. Raises InvalidToken."""
    known = stored.secret_hash if stored else hashed("")
    if not hmac.compare_digest(token.secret_hash, known) or stored is None:
        raise InvalidToken(f"this join token is not known here; {MAKE_ANOTHER}")
    return stored


def check_usable(stored: StoredToken, now_ms: int, *, same_box: bool) -> None:
    """Whether the token lets somebody in now: whoever comes first, and after that the same box, which may have lost
    the answer. Raises InvalidToken, saying why not.
    """
    if stored.used_ms is not None and not same_box:
        raise InvalidToken(f"this join token was used already, by {stored.used_by}; {MAKE_ANOTHER}")
    if stored.expires_ms <= now_ms:
        raise InvalidToken(f"this join token has expired; {MAKE_ANOTHER}")


def check_late(certificate: StoredCertificate | None, now_ms: int, days: int) -> StoredCertificate:
    """The certificate, if it may still be renewed: within `days` of its expiry; 0 is never.

    Raises:
        Forbidden: nothing is renewed late here.
        Unauthenticated: unknown, revoked, of a deleted node, or over for too long.
    """
    if days == 0:
        raise Forbidden(f"no expired certificate is renewed here; {JOIN_AGAIN}")
    if certificate is None:
        raise Unauthenticated(f"this box's certificate is no longer accepted; {JOIN_AGAIN}")
    if now_ms > certificate.not_after_ms + days * DAY_MS:
        raise Unauthenticated(f"this box's certificate expired more than {days} days ago; {JOIN_AGAIN}")
    return certificate


def admit(stored: StoredToken, wish: Wish, fallback: str) -> Admission:
    """What the token allows of the wish: the token's own words win, free places are filled from the wish.

    Raises:
        Rejected: the wish contradicts the token, or breaks a rule.
    """
    if stored.node and wish.node and wish.node != stored.node:
        raise InvalidToken(f"this join token is for node {stored.node}, not {wish.node!r}; leave --node-id out")
    if wish.role and wish.role != stored.role:
        raise InvalidToken(
            f"this join token is for role {stored.role}, so that '{COMMANDS[stored.role]}' runs the box; leave --role "
            f"out, or make another with 'longshore token create --role {checked_role(wish.role)}'"
        )
    node = stored.node or ids.node_id(wish.node or wish.host_name or fallback)
    labels = selectors.labels({**wish.labels, **stored.labels}, "the box's labels")
    return Admission(node, labels, stored.role, rejoin=stored.node is not None)


def checked_role(role: str) -> str:
    """Raises Rejected, with the roles there are."""
    if role not in COMMANDS:
        raise Rejected(f"role {role!r} must be one of {', '.join(COMMANDS)}")
    return role


def broker_problem(config: Config) -> str | None:
    """Why a box that joins could not report safely; None when it can."""
    open_to_all = next(filter(_in_plain_view, (config.broker, config.broker_for_boxes)), None)
    if open_to_all is not None:
        return (
            f"the broker at {open_to_all.host} is dialled without TLS, so anybody in that network can speak for any "
            f"box; name its listener that demands client certificates: mqtts://{bracketed(open_to_all.host)}:8883"
        )
    if _reaches_boxes(config):
        return None
    return (
        "boxes beyond this machine need a broker that demands client certificates, and there is none; install the "
        "Debian package 'mosquitto' and start again, or name yours with --broker-advertise-url mqtts://host:8883"
    )


def _in_plain_view(broker: Broker | None) -> bool:
    return broker is not None and not broker.tls and not broker.on_loopback


def _reaches_boxes(config: Config) -> bool:
    """Whether the boxes that can join can dial the broker, or need none of their own."""
    broker = config.broker_for_boxes
    if broker is not None and broker.tls:
        return is_loopback(config.advertised) or not broker.on_loopback
    return is_loopback(config.advertised) and is_loopback(config.host)


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
