"""A control plane as a process of its own, over a database that is filled, asked over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.year.fill import Size
from tests.servers.ports import free_port

START_SECONDS = 60.0


@dataclass(frozen=True)
class Plane:
    """`client` is signed in as an administrator."""

    client: httpx.Client
    pid: int
    size: Size


@contextmanager
def serving(state: Path, database_url: str, size: Size) -> Iterator[Plane]:
    port = free_port()
    ports = ["--http-port", str(port), "--https-port", str(free_port()), "--grpc-port", str(free_port())]
    command = [sys.executable, "-m", "controlplane.main", "serve", "--state", str(state), *ports]
    command += ["--log-level", "error", "--database-url", database_url]
    process = subprocess.Popen(command, env={**os.environ, "LONGSHORE_PARENT_DEATH": "1"})
    try:
        token = _ready(process, port, state / "controlplane" / "admin.token")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120.0) as client:
            yield Plane(client, process.pid, size)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _ready(process: subprocess.Popen[bytes], port: int, token: Path) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit("the control plane ended before it was ready")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return token.read_text().strip()
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the control plane did not get ready")
