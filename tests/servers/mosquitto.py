"""Mosquitto on a free loopback port; a test may stop it, start it again and give it its own configuration."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.ports import free_port, wait_for
from tests.servers.require import dies_with_us, program

PLAIN = "listener {port} 127.0.0.1\nallow_anonymous true\n"


@dataclass
class Mosquitto:
    """One broker process. `configuration` may use {port}."""

    folder: Path
    configuration: str = PLAIN
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        user = pwd.getpwuid(os.geteuid()).pw_name
        conf = self.folder / "mosquitto.conf"
        conf.write_text(f"user {user}\npersistence false\n" + self.configuration.format(port=self.port))
        log = (self.folder / "mosquitto.log").open("ab")
        command = dies_with_us([program("mosquitto", "mosquitto"), "-c", str(conf)])
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        wait_for(self.port, self.process)

    def stop(self) -> None:
        """Kill it, as a power cut would: no goodbye to clients."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def mosquitto_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Start brokers: `mosquitto_factory()` or `mosquitto_factory("listener {port} 127.0.0.1\\n…")`."""
    started: list[Mosquitto] = []

    def start(configuration: str = PLAIN) -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), configuration)
        broker.start()
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture(scope="session")
def mosquitto(mosquitto_factory: Callable[..., Mosquitto]) -> Mosquitto:
    """One plain broker shared by the session; tests use topics or node ids of their own."""
    return mosquitto_factory()
