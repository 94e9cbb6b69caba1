"""The whole demo as a user starts it: one process tree on free ports, spoken to over its public API.

For end-to-end tests and benchmarks. A tree is stopped with SIGINT, as Ctrl-C does; `kill` fells it like a power cut.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.servers.ports import free_port, listens

MEMORY = "/memfd:longshore"
ROOT = Path(__file__).parents[2]
Document = dict[str, Any]


class DemoTree:
    """`longshore up --demo` on a state directory; with demo=False the control plane and its broker alone."""

    def __init__(self, state: Path, *flags: str, demo: bool = True, code: Path = ROOT) -> None:
        """`code`: the checkout that runs; another release's for tests of versions apart."""
        self.code = code
        self.state = state
        self.ports = {name: free_port() for name in ("https", "http", "grpc", "broker", "rtsp")}
        self.agents_port = free_port(following=29)  # three agents, ten apart
        self._flags = ("--demo", *flags) if demo else flags
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0.0  # unix seconds
        self.config = state.parent / "config"  # of the user who starts it
        self.log = state.parent / f"{state.name}.log"

    # ---- life ----

    def start(self) -> None:
        command = self.command()
        environment = {**os.environ, "PYTHONPATH": str(self.code), "XDG_CONFIG_HOME": str(self.config)}
        self.started = time.time()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.state.parent, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def command(self) -> list[str]:
        command = [sys.executable, "-P", "-m", "controlplane.cli.main", "up", "--state", str(self.state)]
        command += [part for name, port in self.ports.items() for part in (f"--{name}-port", str(port))]
        return [*command, "--agents-port", str(self.agents_port), *self._flags]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> float:
        """Ctrl-C; seconds until everything had ended."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9 of `up` alone; its children must not outlive it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        """Whatever is left, for a fixture's end."""
        if self.running:
            self.stop()

    # ---- what it says ----

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def token(self) -> str:
        return (self.state / "controlplane" / "admin.token").read_text().strip()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.page, headers={"Authorization": f"Bearer {self.token}"}, timeout=10)

    def get(self, path: str, **query: str | int) -> Any:
        with self.client() as client:
            answer = client.get(f"/api/v1/{path}", params=query)
            answer.raise_for_status()
            return answer.json()

    def confirmed(self, node: str) -> bool:
        """A release answers there and is confirmed. IDLE alone is also how a deployment begins, nothing on disk."""
        deployments = self.get(f"nodes/{node}")["status"]["deployments"]
        return any(each["state"] == "IDLE" and each["activeDigest"] for each in deployments)

    def change(self, kind: str, name: str, edit: Callable[[Document], None]) -> Document:
        """Read an object, let `edit` change it, apply it."""
        with self.client() as client:
            document: Document = client.get(f"/api/v1/{kind}/{name}").raise_for_status().json()
            edit(document)
            answer = client.put(f"/api/v1/{kind}/{name}", json=document)
            assert answer.is_success, answer.text
            changed: Document = answer.json()
            return changed

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Read the control plane's database beside it."""
        path = self.state / "controlplane" / "longshore.db"
        if not path.exists():
            return []
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []  # not migrated yet
        finally:
            connection.close()

    def until(self, what: str, condition: Callable[[], object], seconds: float = 20.0) -> float:
        """Seconds until `condition` holds; asserts that it does in time, with the end of the tree's log."""
        began = time.monotonic()
        while True:
            try:
                if condition():
                    return time.monotonic() - began
            except (httpx.HTTPError, FileNotFoundError):
                pass  # not up yet
            assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s\n{self.log_tail()}"
            time.sleep(0.05)

    def until_said(self, sentence: str, seconds: float = 20.0) -> float:
        """Seconds from the start of `up` until its terminal shows `sentence`; asserts that it lives until then."""

        def said() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"up ended with {self._process.returncode}\n{self.log_tail()}"
            return sentence in self.log_tail()

        self.until(repr(sentence), said, seconds)
        return time.time() - self.started

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    # ---- its processes ----

    def processes(self) -> dict[int, str]:
        """Every process under `up`, by pid: its command line."""
        parents = {int(entry.name): self.parent_of(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
        found, fresh = set[int](), {self.pid}
        while fresh:
            found |= fresh
            fresh = {pid for pid, parent in parents.items() if parent in fresh}
        return {pid: command_of(pid) for pid in found}

    @staticmethod
    def parent_of(pid: int) -> int:
        """0 when it is gone."""
        try:
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return 0

    def find(self, *words: str) -> int | None:
        """The process whose command line holds all `words`, if it runs."""
        return next((pid for pid, line in self.processes().items() if all(word in line for word in words)), None)

    def pid_of(self, *words: str) -> int:
        pid = self.find(*words)
        assert pid is not None, f"no process {' '.join(words)}"
        return pid

    def shared_memory(self) -> set[str]:
        """Memory files of ours that its processes hold open or mapped, by inode."""
        return {inode for pid in self.processes() for inode in memory_of(pid)}

    def taken_ports(self) -> list[int]:
        """Of its own ports, those on which somebody listens."""
        return [
            port for port in (*self.ports.values(), *range(self.agents_port, self.agents_port + 30)) if listens(port)
        ]


def wait_until_gone(processes: dict[int, str], seconds: float = 5.0) -> None:
    """Return once none of these runs any more."""
    until = time.monotonic() + seconds
    while left := {pid: line for pid, line in processes.items() if line and command_of(pid) == line}:
        assert time.monotonic() < until, f"still running after {seconds:g} s: {left}"
        time.sleep(0.02)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory_of(pid: int) -> set[str]:
    """Inodes of the memory files of ours that a process holds open or mapped."""
    with contextlib.suppress(OSError):
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        mapped = {line.split()[4] for line in maps if MEMORY in line}
        held = {str(fd.stat().st_ino) for fd in Path(f"/proc/{pid}/fd").iterdir() if MEMORY in str(fd.readlink())}
        return mapped | held
    return set()  # it ended
