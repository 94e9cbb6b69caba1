"""The shim of a process: built with cc, once per user and content; what the process says to it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec

SOURCE = Path(__file__).with_name("shim.c")
MISSING = "this machine has no C compiler (cc): the shim that sits between a process and its disk can't be built"


def buildable() -> bool:
    return shutil.which("cc") is not None


def built() -> Path:
    """The shared object. Raises subprocess.CalledProcessError, FileNotFoundError where there is no cc."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"longshore-disk-shim-{os.getuid()}" / f"{digest}.so"
    if not target.exists():
        target.parent.mkdir(mode=0o700, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl", "-lpthread"], check=True)
        made.replace(target)
    return target


def environment(folder: Path, log: Path | None = None) -> dict[str, str]:
    """For a process whose files below `folder` are watched; `log`: where its operations go."""
    logged = {"DISK_LOG": str(log)} if log is not None else {}
    return {**os.environ, **logged, "LD_PRELOAD": str(built()), "DISK_FOLDER": str(folder)}


class Shim:
    """From inside a watched process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.disk_failed.restype = ctypes.c_long

    def note(self, said: Any) -> None:
        """A word for whoever reads the log, at this place of it."""
        content = msgspec.json.encode(said)
        self._library.disk_note(content, ctypes.c_size_t(len(content)))

    def fail(self, kinds: str, error: int, skip: int = 0, count: int = -1) -> None:
        """Let `skip` operations of these kinds pass, fail the next `count` (-1: all). Kinds stand in shim.c."""
        self._library.disk_fail(kinds.encode(), error, ctypes.c_long(skip), ctypes.c_long(count))

    def mend(self) -> None:
        """Nothing fails any more."""
        self.fail("", 0, 0, 0)

    @property
    def failed(self) -> int:
        """Operations failed since `fail`."""
        return int(self._library.disk_failed())
