"""A process in a sandbox that tries what it should not: `python -m tests.unit.sandbox.cornered LAYER PROFILE ACT`.

It prints what came of it: "done", or the error's name. LAYER is the one that it enters, or "all".
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from sandbox import entry, kernel, profiles
from sandbox.profiles import Profile

PORT = int(os.environ.get("LONGSHORE_TEST_PORT", "1"))  # somebody listens there
GROWTH = 256 << 20
PROFILES: dict[str, Profile] = {
    "engine": profiles.engine(os.getpid(), GROWTH),
    "jit": profiles.engine_that_compiles(os.getpid(), GROWTH),
    "pictures": profiles.pictures(os.getpid(), GROWTH),
    "network": profiles.network(os.getpid(), GROWTH, (PORT,)),
    "network to another port": profiles.network(os.getpid(), GROWTH, (9,)),
    "device": profiles.device(os.getpid(), GROWTH, Path("/dev/zero")),
    "gpu": profiles.engine_on_gpu(os.getpid(), (Path("/usr/lib"),), (Path("/dev/zero"),)),
}
LAYERS: dict[str, Callable[[Profile], object]] = {
    "none": lambda _: None,
    "all": entry.enter,
    "rlimits": entry._limit,
    "capabilities": lambda _: entry._capabilities(),
    "landlock": lambda profile: (entry._no_new_privileges(), entry._landlock(profile)),
    "seccomp": lambda profile: (entry._no_new_privileges(), entry._seccomp(profile)),
}
SECRET = Path(tempfile.gettempdir()) / f"longshore-secret-{os.getpid()}"
libc = ctypes.CDLL(None, use_errno=True)


def _connect() -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", PORT))


def _listen() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _native(name: str, *arguments: int) -> None:
    kernel.call(name, *arguments)


def _thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _remember() -> None:
    with os.fdopen(os.memfd_create("x"), "wb") as memory:
        memory.write(b"x")
        memory.truncate(4096)


def _hand_over() -> None:
    ours, theirs = PAIR
    socket.send_fds(ours, [b"x"], [os.memfd_create("x")])
    _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
    os.close(fds[0])


def _compile() -> None:
    """As a compiler does with memory that it had before."""
    memory = mmap.mmap(-1, 4096)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    kernel.call("mprotect", at, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _raise_limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


ACTS: dict[str, Callable[[], object]] = {
    "read a file": SECRET.read_bytes,
    "write a file": lambda: SECRET.write_bytes(b"x"),
    "make a file": lambda: SECRET.with_suffix(".new").touch(),
    "remove a file": SECRET.unlink,
    "give a file away": lambda: os.chown(SECRET, 1, 1),
    "list a folder": lambda: list(Path("/").iterdir()),
    "read a library": Path("/usr/lib/os-release").read_bytes,
    "open a device": lambda: Path("/dev/zero").open("rb").close(),
    "open another device": lambda: Path("/dev/full").open("rb").close(),
    "make a Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "connect": _connect,
    "listen": _listen,
    "fork": _fork,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "trace": lambda: _native("ptrace", 0, 0, 0, 0),
    "read another's memory": lambda: _native("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0),
    "leave the namespace": lambda: _native("unshare", 0x10000000),
    "mount": lambda: _native("mount", 0, 0, 0, 0, 0),
    "load a program into the kernel": lambda: _native("bpf", 0, 0, 0),
    "ask for keys": lambda: _native("keyctl", 0, -1, 0, 0, 0),
    "outlive the agent": lambda: _native("prctl", 1, 0, 0, 0, 0),
    "signal the agent": lambda: os.kill(os.getppid(), 0),
    "write code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    "make its memory code": _compile,
    "take memory": lambda: mmap.mmap(-1, 2 * GROWTH).close(),
    "raise its limits": _raise_limit,
    "start a thread": _thread,
    "make memory": _remember,
    "hand memory over": _hand_over,
    "abort": lambda: signal.raise_signal(signal.SIGABRT),
}


def main(layer: str, profile: str, act: str) -> str:
    LAYERS[layer](PROFILES[profile])
    try:
        ACTS[act]()
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        return errno.errorcode[number] if number else type(error).__name__
    return "done"


if __name__ == "__main__":
    SECRET.write_bytes(b"secret")
    PAIR = socket.socketpair()
    print(main(*sys.argv[1:4]), flush=True)
