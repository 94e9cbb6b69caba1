"""A cgroup of version 2 with the kernel's rules: controllers go down only from where no process is itself."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class SimCgroup:
    """One in `folder`, with `inside` in it; those below are made by who wants them, as folders."""

    folder: Path
    inside: set[int]
    controllers: str = "cpu memory pids"
    moved: dict[int, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "cgroup.controllers").write_text(self.controllers)
        (self.folder / "cgroup.subtree_control").write_text("")

    @property
    def handed_down(self) -> str:
        return (self.folder / "cgroup.subtree_control").read_text()

    def write(self, file: Path, value: str) -> None:
        if file == self.folder / "cgroup.subtree_control":
            if self.inside:
                raise OSError(errno.EBUSY, "Device or resource busy")
            file.write_text(value.replace("+", ""))
        elif file.name == "cgroup.procs":
            self._move(int(value), file.parent)

    def until_it_has_moved(self, error: OSError) -> Callable[[Path, str], None]:
        """Writes as ours until a process has moved, then `error`."""

        def write(file: Path, value: str) -> None:
            if self.moved:
                raise error
            self.write(file, value)

        return write

    def _move(self, process: int, folder: Path) -> None:
        assert folder.is_dir()
        self.inside.discard(process)
        self.moved.pop(process, None)
        if folder == self.folder:
            self.inside.add(process)
        else:
            self.moved[process] = folder
