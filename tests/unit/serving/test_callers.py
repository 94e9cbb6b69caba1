"""Whose connection it is: asked of the kernel, for loopback connections alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agent.serving.callers import Caller, Kernel, _question, _user_in, of_grpc

NOBODY = 65534
AS_NOBODY = (
    f"import os,socket,sys;os.setgid({NOBODY});os.setuid({NOBODY});"
    "s=socket.socket();s.connect(('127.0.0.1',int(sys.argv[1])));s.sendall(b'x');sys.stdin.read()"
)


@pytest.fixture(params=[("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")])
def connection(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends; the first as its client has it."""
    listen, dial = request.param
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.create_server((listen, 0), family=family, dualstack_ipv6=listen == "::") as server:
        client = socket.create_connection((dial, server.getsockname()[1]))
        accepted, _ = server.accept()
    yield client, accepted
    client.close()
    accepted.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def caller(accepted: socket.socket) -> Caller:
    host, port = accepted.getpeername()[:2]
    return Caller(host, port, accepted.getsockname()[1])


def test_a_loopback_connection_is_its_users(kernel: Kernel, connection: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = connection
    found = caller(accepted)
    assert (found.on_this_box, kernel.user_of(found)) == (True, os.getuid())
    client.close()
    assert kernel.user_of(found) is None  # whoever has the port next is somebody else


def test_an_answer_to_another_question_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
            host, port = client.getsockname()
            netlink.send(_question(Caller(host, port, server.getsockname()[1]), 7))
            answer = netlink.recv(4096)
    assert (_user_in(answer, 7), _user_in(answer, 8), _user_in(b"", 7)) == (os.getuid(), None, None)


def test_a_box_whose_kernel_cannot_be_asked_knows_nobody(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", forbidden)
    assert kernel.user_of(Caller("127.0.0.1", 4711, 8000)) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_users_connection_is_that_users(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", AS_NOBODY, str(server.getsockname()[1])]
        other = subprocess.Popen(command, stdin=subprocess.PIPE)
        accepted, _ = server.accept()
        assert accepted.recv(1) == b"x"
        assert kernel.user_of(caller(accepted)) == NOBODY
        accepted.close()
        other.communicate()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "", "quay"])
def test_who_is_not_on_this_box_is_nobodys(kernel: Kernel, host: str) -> None:
    found = Caller(host, 4711, 8000)
    assert (found.on_this_box, kernel.user_of(found)) == (False, None)


@pytest.mark.parametrize(
    ("peer", "wanted"),
    [
        ("ipv4:127.0.0.1:4711", Caller("127.0.0.1", 4711, 8001)),
        ("ipv6:%5B::1%5D:4711", Caller("::1", 4711, 8001)),
        ("ipv6:[::ffff:127.0.0.1]:4711", Caller("::ffff:127.0.0.1", 4711, 8001)),
        ("unix:/run/agent", None),
        ("ipv4:127.0.0.1:x", None),
        ("", None),
    ],
)
def test_peers_are_read_as_grpc_names_them(peer: str, wanted: Caller | None) -> None:
    assert of_grpc(peer, 8001) == wanted
