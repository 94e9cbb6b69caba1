"""Our own server certificate: for HTTPS as a TLS context, for gRPC as credentials, both renewed while they serve.

Only connections made after a renewal show the new certificate; those that are open go on.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from controlplane.adapters.authority_files import write_pair
from controlplane.ports import Clock
from controlplane.trust.domain import due_for_renewal
from controlplane.trust.ports import Authority, KeyPair

DAYS = 30.0  # renewed from half of it on; a process that sleeps for two weeks still serves


class ServerCertificate:
    """The key pair shown now. Threads may share it."""

    def __init__(self, authority: Authority, names: tuple[str, ...], clock: Clock, folder: Path) -> None:
        self._authority = authority
        self._names = names
        self._clock = clock
        self._folder = folder
        self._issued = clock.unix()
        self._pair = self._issue()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()

    @property
    def context(self) -> ssl.SSLContext:
        """For HTTPS: no client certificate is asked for."""
        return self._context

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC: a client certificate of our CA is required.

        gRPC asks at each handshake, in threads of its own, and throws away what others still use when it is told
        anything: a fleet that knocked at once ended the process. So it is told of a renewal, and else nothing.
        """
        shown = self._pair

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal shown
            if shown is self._pair:
                return None
            shown = self._pair
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(self._configuration(), renewed, require_client_authentication=True)

    def renew_if_due(self) -> bool:
        if not due_for_renewal(self._issued, self._pair.not_after_ms / 1000, self._clock.unix()):
            return False
        self._issued = self._clock.unix()
        self._pair = self._issue()
        self._load()
        return True

    def _issue(self) -> KeyPair:
        return self._authority.issue_server(self._names, self._clock.unix(), DAYS)

    def _load(self) -> None:
        """OpenSSL takes a key pair from files only."""
        certificate, key = write_pair(self._folder, "server", self._pair)
        self._context.load_cert_chain(certificate, key)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (self._pair.key_pem.encode(), self._pair.certificate_pem.encode())
        return grpc.ssl_server_certificate_configuration([pair], self._authority.ca_pem.encode())
