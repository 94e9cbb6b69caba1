"""Who may call. Pure.

Loopback needs nothing. Beyond it callers prove themselves with a certificate of this fleet or with the bearer token;
a server that would stand open does not start. Liveness and readiness are open to probes, where no certificate is asked
for at the handshake.
"""

from __future__ import annotations

import hmac
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


def port_taken(what: str, host: str, port: int, knob: str) -> Fatal:
    """The error of a server whose port somebody else has."""
    return Fatal(
        f"port {port} on {host} is taken, so {what} cannot start; free it, or choose another with --{knob}-port "
        f"or LONGSHORE_AGENT_{knob.upper()}_PORT (0 takes a free one)"
    )
