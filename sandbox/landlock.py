"""Landlock: which files this process may still open. Linux 5.13 and newer; no privilege needed.

What is open stays open, and memory files are not concerned. Each kernel knows more than the one before: what it does
not know is left out, and the caller learns its version.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox import kernel

READ_FILE, READ_FOLDER, WRITE_FILE, TRUNCATE, CONTROL_DEVICE = 1 << 2, 1 << 3, 1 << 1, 1 << 14, 1 << 15
CONNECT_TCP = 1 << 1
NETWORK_VERSION = 4  # and newer know TCP ports
_RIGHTS = ((1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (5, 0xFFFF))  # on files, from this version on
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract Unix sockets and signals of others, from version 6 on
_PATH, _PORT, _VERSION = 1, 2, 1


def version() -> int:
    """0 where the kernel has none, or was started without it."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def restrict(folders: Iterable[Path], devices: Iterable[Path], ports: Iterable[int]) -> int:
    """Give up all other files, TCP connections, and signals to others; the version that did it.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    known = version()
    handled = max(rights for since, rights in _RIGHTS if known >= since) if known else 0
    ruleset = kernel.call("landlock_create_ruleset", _attributes(known, handled), _size(known), 0)
    with _closing(ruleset):
        for path in folders:
            _allow_path(ruleset, path, (READ_FILE | READ_FOLDER) & handled)
        for path in devices:
            _allow_path(ruleset, path, (READ_FILE | WRITE_FILE | CONTROL_DEVICE) & handled)
        for port in ports if known >= NETWORK_VERSION else ():
            kernel.call("landlock_add_rule", ruleset, _PORT, struct.pack("=QQ", CONNECT_TCP, port), 0)
        kernel.call("landlock_restrict_self", ruleset, 0)
    return known


def _attributes(known: int, handled: int) -> bytes:
    network, scopes = _TCP if known >= NETWORK_VERSION else 0, _SCOPES if known >= 6 else 0
    return struct.pack("=QQQ", handled, network, scopes)[: _size(known)]


def _size(known: int) -> int:
    return 24 if known >= 6 else 16 if known >= NETWORK_VERSION else 8


def _allow_path(ruleset: int, path: Path, rights: int) -> None:
    """One that is not there, or is a plain file where a folder was expected, gets what it can have."""
    with contextlib.suppress(FileNotFoundError), _opened(path) as fd:
        fitting = rights if path.is_dir() else rights & ~READ_FOLDER
        kernel.call("landlock_add_rule", ruleset, _PATH, struct.pack("=Qi", fitting, fd), 0)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    with _closing(fd):
        yield fd


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)
