"""A server's certificate files, read again once they were renewed: a node that runs for months outlives them.

A pair of files that do not belong together (a renewal is under way) is left alone until they do.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from agent.serving.access import ServerCredentials
from protos.errors import Fatal


class Certificates:
    """The files of one server, and the last of them that fitted together."""

    def __init__(self, files: ServerCredentials) -> None:
        """Raises Fatal when the files cannot be used."""
        self._files = files
        self._seen = self._stamps()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.context.load_cert_chain(files.certificate, files.key)
            if files.client_ca is not None:
                self.context.load_verify_locations(files.client_ca)
                self.context.verify_mode = ssl.CERT_OPTIONAL  # who shows none must show the token
        except OSError as error:  # ssl.SSLError is one
            raise Fatal(f"the server certificate {files.certificate} cannot be used: {error}") from error

    @property
    def asks_callers(self) -> bool:
        return self._files.client_ca is not None

    def renewed(self) -> bool:
        """Were the files renewed since the last call? New handshakes on `context` then use them."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        try:
            # Tried apart first: a pair that does not fit would leave the context with half of it.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._files.certificate, self._files.key)
            self.context.load_cert_chain(self._files.certificate, self._files.key)
        except OSError:
            return False
        self._seen = stamps
        return True

    def for_grpc(self) -> grpc.ServerCredentials:
        """The same for a gRPC server, which asks for renewed files at each handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self._grpc_files(),
            lambda: self._grpc_files() if self.renewed() else None,
            require_client_authentication=self.asks_callers,
        )

    def _grpc_files(self) -> object:
        pair = [(self._files.key.read_bytes(), self._files.certificate.read_bytes())]
        return grpc.ssl_server_certificate_configuration(pair, _content(self._files.client_ca))

    def _stamps(self) -> tuple[int, ...]:
        """When each file was last written; 0 for one that is not there just now."""
        return tuple(_stamp(path) for path in (self._files.certificate, self._files.key))


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None else None


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
