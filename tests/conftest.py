"""What all tests share: real servers, a fake clock, free ports, and a fence around the network.

No test may reach beyond this machine: connecting anywhere but loopback or a Unix socket raises.
"""

from __future__ import annotations

import ipaddress
import sys

import pytest
from hypothesis import Phase, settings

from tests.servers.ports import free_port as find_free_port
from tests.sim.clock import FakeClock

# A loaded machine is no failure: examples are checked for what they give, not for how long they take.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# For tests.mutants, which asks only whether there is a failure: finding the smallest one takes minutes.
settings.register_profile("first", deadline=None, phases=[Phase.explicit, Phase.generate])

pytest_plugins = [
    "tests.servers.mosquitto",
    "tests.servers.postgres",
    "tests.servers.chromium",
    "tests.servers.rtsp",
]


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a path: AF_UNIX
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified


def _fence(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not _is_local(arguments[1]):
        raise RuntimeError(f"a test tried to connect to {arguments[1]!r}; tests talk to this machine only")


sys.addaudithook(_fence)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def free_port() -> int:
    return find_free_port()
