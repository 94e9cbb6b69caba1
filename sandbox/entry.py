"""A worker enters its sandbox: layer by layer, each tried at once by what it forbids. Nothing here ever stops a worker.

    cgroup (entered before) → rlimits → no_new_privs → capabilities → Landlock (tried) → seccomp (tried)

A cgroup's limit cannot be tried by who means to live: what the kernel says of it is read while files can be.
Landlock comes first, because where seccomp answers Landlock is never asked: only between the two can it be proven. It
holds for the calling thread and those it starts, so a worker enters before there is another. What a library needs later
must be loaded by then.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from sandbox import bpf, cgroup, kernel, landlock
from sandbox.profiles import NO_NEW_CODE, Profile
from sandbox.report import Confined, Layer

_SHARED_HANDLERS = 0x800  # CLONE_SIGHAND, which alone is no valid wish: without a filter nothing is started either


def enter(profile: Profile) -> Confined:
    """Give up what the profile does not name, for good; what of it holds."""
    layers = (
        *_cgroup(profile),
        _layer("rlimits", lambda: _limit(profile)),
        _layer("no_new_privs", _no_new_privileges),
        _layer("capabilities", _capabilities),
        _layer("landlock", lambda: _landlock(profile)),
        _layer("seccomp", lambda: _seccomp(profile)),
    )
    return Confined(profile.name, layers)


def _layer(name: str, apply: Callable[[], str]) -> Layer:
    try:
        return Layer(name, holds=True, detail=apply())
    except OSError as error:
        return Layer(name, holds=False, detail=error.strerror or str(error))


def _cgroup(profile: Profile) -> Iterator[Layer]:
    """Of a worker; where an address space is limited, little is missed without it."""
    if cgroup.told():
        yield msgspec.structs.replace(_layer("cgroup", cgroup.proven), vital=profile.growth is None)


def _limit(profile: Profile) -> str:
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_NOFILE, profile.files)
    if profile.growth is not None:
        _at_most(resource.RLIMIT_AS, _address_space() + profile.growth)
    return ""


def _at_most(limit: int, wanted: int) -> None:
    _, hard = resource.getrlimit(limit)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(ValueError):
        resource.setrlimit(limit, (wanted, wanted))
    if resource.getrlimit(limit) != (wanted, wanted):
        raise OSError(errno.EPERM, "a limit was set and does not hold")


def _address_space() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


def _no_new_privileges() -> str:
    if not kernel.set_no_new_privileges():
        raise OSError(errno.EPERM, "it was set and does not hold")
    return ""


def _capabilities() -> str:
    with contextlib.suppress(OSError):  # a service manager may forbid the call to those who have none anyway
        kernel.drop_capabilities()
    if kernel.capabilities():
        raise OSError(errno.EPERM, "this process keeps capabilities of root")
    return ""


def _landlock(profile: Profile) -> str:
    if landlock.version() == 0:
        raise OSError(errno.ENOSYS, "this kernel does not offer it")
    before = len(list(Path("/proc/self/task").iterdir()))
    known = landlock.restrict(profile.folders, profile.devices, profile.ports or ())
    _refused("open a folder", errno.EACCES, lambda: os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY)))
    if known >= landlock.NETWORK_VERSION:
        _refused("listen for others", errno.EACCES, _bind)
    if before > 1:
        raise OSError(errno.EBUSY, f"{before - 1} threads started before it, and are not held by it")
    return f"abi {known}"


def _seccomp(profile: Profile) -> str:
    machine = kernel.machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"it has no table for {os.uname().machine}")
    kernel.install(bpf.packed(bpf.program(profile, machine)))
    _refused("open a socket", errno.EPERM, lambda: socket.socket(socket.AF_UNIX).close())
    _refused("run a program", errno.EPERM, lambda: kernel.call("execve", None, None, None))
    _refused("start a process", errno.EPERM, lambda: kernel.call("clone", _SHARED_HANDLERS, 0, 0, 0, 0))
    if NO_NEW_CODE[0] in profile.rules:
        _refused("map code", errno.EPERM, lambda: mmap.mmap(-1, 1, prot=mmap.PROT_READ | mmap.PROT_EXEC).close())
    return ""


def _refused(what: str, number: int, attempt: Callable[[], object]) -> None:
    """Raises OSError when the attempt succeeds, or fails for another reason."""
    try:
        attempt()
    except OSError as error:
        if error.errno == number:
            return
    raise OSError(errno.EPERM, f"it was set, and yet this process can {what}")


def _bind() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
