"""What a disk may hold after a power cut, at any write of this process to a folder: two images for each.

`synced`: only what was synced survived, of files and of directories. `renamed`: directories survived as they were seen,
and a file whose content was not synced is empty, as ext4 leaves it. SQLite's files are taken as they are: that they
survive is proven elsewhere (tests/contract/test_state_store.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CALLS = ("fsync", "sync", "replace", "rename", "symlink", "remove", "unlink")
_DATABASE = "state.db"

_symlink = os.symlink  # the real one, while others are watched

Entries = dict[str, int | str]  # name -> inode, or where a link points


@dataclass
class Disk:
    """`folder` as it would be found."""

    folder: Path
    images: Path
    _files: dict[int, bytes] = field(default_factory=dict)  # by inode, as synced
    _directories: dict[Path, Entries] = field(default_factory=dict)  # as synced
    count: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Everything that is there now has been synced; an image is made at each call that changes the disk."""
        for directory, _, names in os.walk(self.folder):
            self._directories[Path(directory)] = _entries(Path(directory))
            for path in (Path(directory) / name for name in names):
                if not path.is_symlink():
                    self._files[path.stat().st_ino] = path.read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, self._cut_at(getattr(os, name), name))
            yield

    def _cut_at(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            with self._turn:
                return cut(*arguments, **more)

        def cut(*arguments: Any, **more: Any) -> Any:
            self._image()
            result = real(*arguments, **more)
            if name == "fsync":
                self._synced(Path(f"/proc/self/fd/{arguments[0]}").readlink())
            if name == "sync":
                for directory, _, names in os.walk(self.folder):
                    for path in (Path(directory), *(Path(directory) / each for each in names)):
                        self._synced(path)
            return result

        return call

    def _synced(self, path: Path) -> None:
        if path.is_dir():
            self._directories[path] = _entries(path)
        elif path.exists():
            self._files[path.stat().st_ino] = path.read_bytes()

    def _image(self) -> None:
        self.count += 1
        here = {Path(directory): _entries(Path(directory)) for directory, _, _ in os.walk(self.folder)}
        for name, directories in (("synced", self._directories), ("renamed", here)):
            target = self.images / f"{self.count:03}-{name}"
            for directory, entries in directories.items():
                (target / directory.relative_to(self.folder)).mkdir(parents=True, exist_ok=True)
                for entry, what in entries.items():
                    self._write(target / directory.relative_to(self.folder) / entry, what)
            for path in self.folder.glob(f"{_DATABASE}*"):
                shutil.copyfile(path, target / path.name)

    def _write(self, path: Path, what: int | str) -> None:
        if isinstance(what, str):
            _symlink(what, path)
        else:
            path.write_bytes(self._files.get(what, b""))


def _entries(directory: Path) -> Entries:
    found: Entries = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink():
                found[entry.name] = str(Path(entry.path).readlink())
            elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                found[entry.name] = entry.inode()
    return found
