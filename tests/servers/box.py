"""One agent as an init system starts it, on a state directory of its own and free ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from agent import launcher
from agent.berths.choice import FOLDER, Choice
from agent.config import PREFIX
from tests.servers.demo import ROOT
from tests.servers.ports import free_port


class AgentProcess:
    """`longshore-agent run` of the checkout `code`."""

    def __init__(self, state_dir: Path, code: Path = ROOT, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """`settings`: LONGSHORE_AGENT_ and so on, without that."""
        self.state_dir = state_dir
        self.log = state_dir.with_suffix(".log")
        self.ports = {name: free_port() for name in ("http", "grpc", "metrics")}
        told = {f"{PREFIX}{key}": value for key, value in settings.items()}
        self._environment = {**os.environ, "PYTHONPATH": str(code), **told}
        self._process: subprocess.Popen[bytes] | None = None

    def join(self, url: str, token: str, *flags: str) -> None:
        command = self._command("join", url, "--token", token, *flags)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        flags = [part for name, port in self.ports.items() for part in (f"--{name}-port", str(port))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # its workers would take code from the folder it stands in
                self._command("run", *flags), env=self._environment, cwd=self._environment["PYTHONPATH"], stderr=log
            )

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _command(self, verb: str, *rest: str) -> list[str]:
        return [sys.executable, "-P", "-m", "agent.main", verb, *rest, "--state-dir", str(self.state_dir)]


class LaunchedAgent(AgentProcess):
    """As systemd runs it: whatever ends is started again."""

    def keep(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self.start()

    @property
    def choice(self) -> Choice:
        return launcher.read(self.state_dir / FOLDER)

    def _command(self, verb: str, *rest: str) -> list[str]:
        if verb == "join":
            return super()._command(verb, *rest)
        command = [sys.executable, "-P", "-m", "agent.launcher", str(self.state_dir), verb, *rest]
        return [*command, "--state-dir", str(self.state_dir)]
