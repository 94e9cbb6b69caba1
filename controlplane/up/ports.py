"""Whether a port is free, and who has it: read from /proc, so that the answer names a program."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from controlplane.up.options import PortUse
from protos.errors import Fatal

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


def claim(uses: Iterable[PortUse], patience_seconds: float = 2.0) -> None:
    """Return when all ports are free; each gets a moment, for a tree that was just killed to let go of it.

    Raises:
        Fatal: which port is taken, by whom, and the flag to choose another; or a host is not one of this machine's.
    """
    for use in uses:
        _check_address(use.host)
        until = time.monotonic() + patience_seconds
        while not is_free(use.host, use.port):
            if time.monotonic() > until:
                where = f"port {use.port} ({use.what})"
                raise Fatal(f"{where} is in use{_by(use.port)}; end that, or choose another with {use.flag}")
            time.sleep(0.05)


def _check_address(host: str) -> None:
    """Raises Fatal when this machine has no such address."""
    with socket.socket(_family(host)) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise Fatal(
                f"this machine cannot listen on {host}; choose one of its addresses, or 0.0.0.0, with --listen"
            ) from error


def is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        # Connections of the last run that are still fading must not look like a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _by(port: int) -> str:
    holder = holder_of(port)
    return f" by {holder}" if holder else ""


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """`name (pid N)` of the process that listens on `port`, or "" when that cannot be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _listening_inodes(port: int, proc: Path) -> list[str]:
    found = []
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            rows = (line.split() for line in (proc / table).read_text().splitlines()[1:])
            found += [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rsplit(":", 1)[1], 16) == port]
    return found
