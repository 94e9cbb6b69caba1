"""Each layer by what it forbids, tried in a process of its own; the same act without it succeeds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import kernel, landlock

MODULE = "tests.unit.sandbox.cornered"
KILLED = -signal.SIGSYS
needs_landlock = pytest.mark.skipif(
    landlock.version() < landlock.NETWORK_VERSION, reason="this kernel has no Landlock for TCP ports (Linux 6.7)"
)
needs_table = pytest.mark.skipif(kernel.machine() is None, reason="there is no table of system calls for this machine")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    yield
    for left in Path(tempfile.gettempdir()).glob("longshore-secret-*"):
        left.unlink()


def came_of(layer: str, profile: str, act: str, port: int = 1) -> str:
    """What the process said, or the signal that ended it."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE, layer, profile, act],
        env={**os.environ, "LONGSHORE_TEST_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    return signal.Signals(-done.returncode).name if done.returncode < 0 else done.stdout.strip() or done.stderr


@needs_landlock
@pytest.mark.parametrize("act", ["read a file", "write a file", "make a file", "remove a file", "list a folder"])
def test_landlock_alone_leaves_no_file(act: str) -> None:
    assert came_of("none", "engine", act) == "done"
    assert came_of("landlock", "engine", act) == "EACCES"


@needs_landlock
@pytest.mark.parametrize("act", ["connect", "listen"])
def test_landlock_alone_leaves_no_connection(act: str, port: int) -> None:
    assert came_of("none", "engine", act, port) == "done"
    assert came_of("landlock", "engine", act, port) == "EACCES"


@needs_landlock
def test_landlock_alone_leaves_nobody_to_signal() -> None:
    if landlock.version() < 6:
        pytest.skip("this kernel's Landlock knows no signals (Linux 6.12)")
    assert came_of("none", "engine", "signal the agent") == "done"
    assert came_of("landlock", "engine", "signal the agent") == "EPERM"


@needs_table
@pytest.mark.parametrize(
    "act",
    [
        "read a file",
        "make a file",
        "make a Unix socket",
        "connect",
        "fork",
        "spawn",
        "write code",
        "make its memory code",
        "signal the agent",
        "outlive the agent",
    ],
)
def test_seccomp_alone_refuses_what_a_library_may_try(act: str, port: int) -> None:
    assert came_of("none", "engine", act, port) == "done"
    assert came_of("seccomp", "engine", act, port) == "EPERM"


@needs_table
@pytest.mark.parametrize(
    "act",
    [
        "exec",
        "trace",
        "read another's memory",
        "leave the namespace",
        "mount",
        "load a program into the kernel",
        "ask for keys",
    ],
)
@pytest.mark.parametrize("profile", ["engine", "jit", "network", "gpu"])
def test_what_only_an_intruder_tries_ends_the_worker(act: str, profile: str) -> None:
    assert came_of("none", profile, act) != "SIGSYS"
    assert came_of("seccomp", profile, act) == "SIGSYS"


@pytest.mark.parametrize("layer", ["rlimits", "all"])
def test_memory_beyond_the_limit_is_refused_and_the_limit_stays(layer: str) -> None:
    assert came_of("none", "engine", "take memory") == "done"
    assert came_of(layer, "engine", "take memory") == "ENOMEM"


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests do not run as root, who alone could")
def test_root_in_a_sandbox_is_root_no_more() -> None:
    assert came_of("none", "engine", "give a file away") == "done"
    assert came_of("capabilities", "engine", "give a file away") == "EPERM"
    assert came_of("all", "engine", "raise its limits") == "ValueError"


@needs_landlock
@needs_table
@pytest.mark.parametrize("profile", ["engine", "jit", "pictures", "network", "device", "gpu"])
@pytest.mark.parametrize("act", ["start a thread", "make memory", "hand memory over"])
def test_what_a_worker_works_with_stays(profile: str, act: str) -> None:
    assert came_of("all", profile, act) == "done"


def test_a_worker_that_aborts_is_seen_to() -> None:
    assert came_of("all", "engine", "abort") == "SIGABRT"


@needs_landlock
@needs_table
def test_a_network_camera_is_reached_at_its_port_alone(port: int) -> None:
    assert came_of("all", "network", "connect", port) == "done"
    assert came_of("all", "network to another port", "connect", port) == "EACCES"
    assert came_of("all", "network", "listen", port) == "EPERM"
    assert came_of("all", "network", "send a datagram", port) == "EPERM"
    assert came_of("all", "network", "read a file", port) == "EPERM"


@needs_landlock
@needs_table
@pytest.mark.parametrize("profile", ["device", "gpu"])
def test_a_device_is_opened_and_no_other(profile: str) -> None:
    assert came_of("all", profile, "open a device") == "done"
    assert came_of("all", profile, "open another device") == "EACCES"
    assert came_of("all", profile, "read a file") == "EACCES"
    assert came_of("all", profile, "connect") == "EPERM"


@needs_landlock
@needs_table
def test_a_driver_reads_its_libraries_and_compiles() -> None:
    assert came_of("all", "gpu", "read a library") == "done"
    assert came_of("all", "gpu", "write code") == "done"
    assert came_of("all", "gpu", "take memory") == "done"
    assert came_of("all", "gpu", "fork") == "EPERM"


@needs_landlock
@needs_table
def test_what_compiles_on_the_processor_may_make_its_own_memory_code_and_nothing_else_more(port: int) -> None:
    assert came_of("all", "jit", "make its memory code") == "done"
    for act in ("write code", "read a file", "make a file", "make a Unix socket", "connect", "fork", "spawn"):
        assert came_of("all", "jit", act, port) == "EPERM", act
    assert came_of("all", "jit", "take memory") == "ENOMEM"


@needs_table
@pytest.mark.parametrize("layers", [["landlock"], ["seccomp"], ["landlock", "seccomp"]])
def test_workers_on_a_kernel_that_lacks_a_layer_work_and_say_so(layers: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.sandbox.on_an_old_kernel", *layers],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        f"workers (engine, pictures) run without {one}" for one in layers
    ]
    assert all("use " in line for line in said)
