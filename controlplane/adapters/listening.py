"""Ports and folders this process needs for itself alone, taken before anything else happens.

A bound socket that does not listen yet refuses connections, so nobody talks to a half-built process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protos.errors import Fatal


def bound(host: str, port: int, flag: str) -> socket.socket:
    """A bound TCP socket. Raises Fatal naming the port and the flag that moves it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or "0.0.0.0",  # noqa: S104 - asked for by an empty --host
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
    except socket.gaierror as error:
        raise Fatal(f"{host!r} is no address of this machine; choose another with --host") from error
    taken = socket.socket(family, kind, protocol)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise Fatal(_refusal(host, port, flag, error)) from error
    return taken


def _refusal(host: str, port: int, flag: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program; stop that one or choose another with {flag}"
    if error.errno == errno.EACCES:
        return f"port {port} is not allowed to this user; choose one above 1023 with {flag}"
    return f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --host and {flag}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else runs on `folder` inside the block. Raises Fatal saying who does."""
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Fatal(
                f"the folder {folder} is in use by process {file.read().strip() or 'unknown'}; "
                "stop it or choose another with --state"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
