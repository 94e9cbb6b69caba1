"""Who may call. Pure.

Loopback needs nothing. Beyond it callers prove themselves with a certificate of this fleet or with the bearer token;
a server that would stand open does not start. Liveness and readiness are open to probes, where no certificate is asked
for at the handshake.
"""

from __future__ import annotations

import errno
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from agent.serving.errors import Denied
from protos.errors import Fatal

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class ServerCredentials:
    """PEM files. With `client_ca`, a certificate signed by it proves a caller."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class Access:
    """What a transport asks of its callers."""

    token: str = field(default="", repr=False)
    credentials: ServerCredentials | None = None

    @property
    def guarded(self) -> bool:
        """Must callers prove themselves?"""
        return bool(self.token) or (self.credentials is not None and self.credentials.client_ca is not None)

    def check_bind(self, host: str) -> None:
        """Raises Fatal when serving on `host` would leave the door open."""
        if host not in LOOPBACK and not self.guarded:
            raise Fatal(
                f"refusing to serve inference on {host} without a token or client certificates; "
                "set LONGSHORE_AGENT_BEARER_FILE or listen on 127.0.0.1"
            )

    def check(self, authorization: str | None, *, proven: bool) -> None:
        """Raises Denied unless the caller is `proven` by certificate or the header shows the token."""
        if proven or not self.guarded:
            return
        scheme, _, shown = (authorization or "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(), self.token.encode())
        if not self.token or scheme.lower() != "bearer" or not right:
            raise Denied("this node asks for 'Authorization: Bearer <token>' or a certificate; ask its operator")


def cannot_listen(what: str, host: str, port: int, knob: str, number: int) -> Fatal:
    """The error of a server that could not bind, by errno; `knob`: how the flag of its port begins."""
    choose = f"choose another with --{knob}-port or LONGSHORE_AGENT_{knob.upper()}_PORT"
    match number:
        case errno.EADDRINUSE:
            why = f"port {port} on {host} is taken, so {what} cannot start; free it, or {choose} (0 takes a free one)"
        case errno.EADDRNOTAVAIL:
            why = f"this machine has no address {host}, so {what} cannot start; choose one it has with --listen"
        case errno.EACCES:
            why = f"port {port} is not for this user, so {what} cannot start; {choose} (1024 or above)"
        case _:
            why = f"{what} cannot listen on {host}:{port}: {os.strerror(number)}"
    return Fatal(why)
