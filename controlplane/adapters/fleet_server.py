"""The gRPC server for boxes: mutual TLS, bounded messages, connections that end after a while.

TLS checks a certificate only at the handshake; ending connections makes every box show one again, and shows it ours
after a renewal.
"""

from __future__ import annotations

import grpc
import grpc.aio

from controlplane.config import bracketed
from protos.errors import Fatal

MAX_MESSAGE = 2 << 20  # bytes: above the largest picture
CONNECTION_MS = 600_000
GRACE_MS = 30_000  # for a Watch stream to be opened anew
PING_MS = 10_000  # boxes behind NAT keep their connection alive this often at most

OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a shared port
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_connection_age_ms", CONNECTION_MS),
    ("grpc.max_connection_age_grace_ms", GRACE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", PING_MS),
]


def fleet_server(host: str, port: int, credentials: grpc.ServerCredentials) -> grpc.aio.Server:
    """Bound to its port, not yet started. Raises Fatal."""
    server = grpc.aio.server(options=OPTIONS)
    try:
        server.add_secure_port(f"{bracketed(host)}:{port}", credentials)
    except RuntimeError as error:
        raise Fatal(f"port {port} is in use or not allowed; choose another with --grpc-port") from error
    return server
