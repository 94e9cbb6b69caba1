"""The kernel's own words: system calls that Python has no name for. What it refuses raises OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from sandbox import syscalls
from sandbox.syscalls import MACHINES, Machine

PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
_SECCOMP_SET_MODE_FILTER, _ALL_THREADS, _AS_FAST = 1, 1, 4
_CAPABILITY_VERSION = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


def machine() -> Machine | None:
    """This one, or None where the table of system calls has no column for it."""
    return MACHINES.get(os.uname().machine)


def call(name: str, *arguments: int | bytes | None) -> int:
    """The result, 0 or more. Whole numbers are handed over in 64 bits. Raises OSError."""
    here = machine()
    number = syscalls.number(name, here) if here else None
    if number is None:
        raise OSError(errno.ENOSYS, f"no number of {name} is known for this machine")
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def set_no_new_privileges() -> bool:
    """No set-uid program and no file capability will ever help this process again. Does the kernel say so?"""
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return call("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1


def install(program: bytes) -> None:
    """This seccomp program, for all threads, for good.

    Kernels before 5.16 would switch a guess of the processor off with it, which costs every load from memory; there is
    no secret in a worker that its own code could not read anyway.

    Raises OSError.
    """
    memory = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    if call("seccomp", _SECCOMP_SET_MODE_FILTER, _ALL_THREADS | _AS_FAST, head) != 0:
        raise OSError(errno.ESRCH, "a thread already has a filter of its own")


def drop_capabilities() -> None:
    """Of the calling thread, and of those that it starts."""
    call("capset", _capability_head(), bytes(24))


def capabilities() -> int:
    """Effective, permitted and inheritable ones together, as bits."""
    sets = ctypes.create_string_buffer(24)
    call("capget", _capability_head(), ctypes.addressof(sets))
    low_effective, low_permitted, low_inherited, effective, permitted, inherited = struct.unpack("=6I", sets.raw)
    high: int = effective | permitted | inherited
    low: int = low_effective | low_permitted | low_inherited
    return high << 32 | low


def _capability_head() -> bytes:
    return struct.pack("=Ii", _CAPABILITY_VERSION, 0)
