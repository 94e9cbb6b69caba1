"""Why a server could not listen, asked of the system once more: gRPC does not say, and asyncio not always."""

from __future__ import annotations

import errno
import socket

from agent.serving.access import cannot_listen
from protos.errors import Fatal


def trouble(what: str, host: str, port: int, knob: str) -> Fatal:
    """The error of `what`, which could not listen there; `knob`: how its port's flag begins."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
    except socket.gaierror:
        return cannot_listen(what, host, port, knob, errno.EADDRNOTAVAIL)
    except OSError as error:
        return cannot_listen(what, host, port, knob, error.errno or 0)
    return cannot_listen(what, host, port, knob, errno.EADDRINUSE)  # until a moment ago, it seems
