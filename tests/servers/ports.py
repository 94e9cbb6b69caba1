"""Free loopback ports, and waiting until somebody listens there.

`LONGSHORE_TEST_PORTS=LOWEST-HIGHEST` gives a run ports that no other takes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time


def free_port(following: int = 0) -> int:
    """A TCP port that nobody listens on, and neither on the `following` ones after it.

    Taken below the kernel's ephemeral range, so that an outgoing connection does not get it in the meantime, and never
    twice by one test run.
    """
    for _ in range(1000):
        first = _reserve(1 + following)
        if all(_is_free(port) for port in range(first, first + 1 + following)):
            return first
    raise RuntimeError("no free port found below the ephemeral range")


_LOWEST, _HIGHEST = (int(end) for end in os.environ.get("LONGSHORE_TEST_PORTS", "20000-32000").split("-"))
_next = _LOWEST + time.monotonic_ns() // 1_000 % (_HIGHEST - _LOWEST)


def _reserve(count: int) -> int:
    global _next
    first = _next if _next + count <= _HIGHEST else _LOWEST
    _next = first + count
    return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Return once `port` accepts; raise when the process ends or the time is over."""
    until = time.monotonic() + seconds
    while not listens(port):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened on {port}")
        if time.monotonic() > until:
            raise TimeoutError(f"{process.args!r} did not listen on {port} within {seconds:g} s")
        time.sleep(0.02)
