"""One `up` per state folder, and ports that say who has them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.up.hold import held
from controlplane.up.options import PortUse
from controlplane.up.ports import claim, holder_of, is_free
from protos.errors import Fatal
from tests.servers.ports import free_port as find_free_port

HOLDER = """
import sys, time
from pathlib import Path
from controlplane.up.hold import held
with held(Path(sys.argv[1]), "http://127.0.0.1:8080"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(state: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(state)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_up_is_told_who_holds_the_state(tmp_path: Path) -> None:
    first = holder(tmp_path)
    told = rf"\(pid {first.pid}\) holds .* http://127.0.0.1:8080"
    with pytest.raises(Fatal, match=told), held(tmp_path, "x"):
        pass
    first.kill()
    first.wait()


def test_a_holder_killed_with_9_holds_no_longer(tmp_path: Path) -> None:
    first = holder(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with held(tmp_path, "x"):
        pass


def test_a_state_folder_that_cannot_be_made_is_told_with_the_flag(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="--state"), held(tmp_path / "file" / "state", "x"):
        pass


def test_a_port_in_use_is_told_with_its_holder_and_the_flag() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"(pid {os.getpid()})" in holder_of(port)
        with pytest.raises(Fatal, match=rf"port {port} \(HTTPS\) is in use by .*\(pid {os.getpid()}\).*--https-port"):
            claim([PortUse("127.0.0.1", port, "HTTPS", "--https-port")], patience_seconds=0)


def test_a_port_whose_last_connection_still_fades_is_free() -> None:
    port = find_free_port()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # closed first: the server's side lies in TIME_WAIT
            client.recv(1)
    assert is_free("127.0.0.1", port)
