"""Where the cgroups of this agent's workers can lie, read from what the kernel says of the agent's process. Pure.

A controller belongs to one hierarchy: where `memory` is named among those of version 1, version 2 does not have it,
also on a box that has both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PREFIX = "longshore-"
UNLIMITED = 1 << 60  # bytes: version 1 has a number of pages that no machine has instead of a word
LARGEST_PAGE = 1 << 16  # bytes
LEAST_TASKS = 512  # threads count: a capture worker of sixteen cameras has 70
TASKS_PER_CORE = 4  # the runtime starts one for each core, once for each way in which calls run


@dataclass(frozen=True)
class Hierarchy:
    """The agent's own cgroup as folders; of version 2 both are the same. No `tasks`: nothing counts them there."""

    version: int
    memory: Path
    tasks: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Each once, that of memory first."""
        return tuple(dict.fromkeys(each for each in (self.memory, self.tasks) if each))

    def child(self, name: str) -> Hierarchy:
        return Hierarchy(self.version, self.memory / name, self.tasks and self.tasks / name)


@dataclass(frozen=True)
class Absent:
    """There is no place for them; `reason` says what was found missing."""

    reason: str


@dataclass(frozen=True)
class Setting:
    """A line for a file of a cgroup. `needed`: without it the cgroup holds nothing."""

    file: Path
    value: str
    needed: bool = True


@dataclass(frozen=True)
class _Mount:
    root: PurePosixPath  # what of the hierarchy is seen there
    place: Path
    writable: bool
    version: int
    controllers: frozenset[str]  # of version 1


def hierarchy(cgroups: str, mounts: str) -> Hierarchy | Absent:
    """From /proc/self/cgroup and /proc/self/mountinfo."""
    paths = _paths(cgroups)
    controller = "memory" if "memory" in paths else ""
    if controller not in paths:
        return Absent("this kernel has no cgroup that counts memory")
    seen = [*_mounts(mounts)]
    memory = _folder(paths[controller], controller, seen)
    if isinstance(memory, Absent):
        return memory
    if not controller:
        return Hierarchy(2, memory, memory)
    tasks = _folder(paths["pids"], "pids", seen) if "pids" in paths else None
    return Hierarchy(1, memory, tasks if isinstance(tasks, Path) else None)


def limits(cgroup: Hierarchy, memory_bytes: int, tasks: int) -> list[Setting]:
    """What its files are told, in this order. Memory that is swapped out would count as none.

    Version 1 limits the sum of both: a little more, so that it is the counter of memory that notices (see `signs`).
    """
    swap, swapped = "memory.swap.max", 0
    if cgroup.version == 1:
        swap, swapped = "memory.memsw.limit_in_bytes", memory_bytes + LARGEST_PAGE
    settings = [
        Setting(limit_file(cgroup), str(memory_bytes)),
        Setting(cgroup.memory / swap, str(swapped), needed=False),
    ]
    if cgroup.tasks is not None:
        settings.append(Setting(cgroup.tasks / "pids.max", str(tasks), needed=False))
    return settings


def limit_file(cgroup: Hierarchy) -> Path:
    return cgroup.memory / ("memory.max" if cgroup.version == 2 else "memory.limit_in_bytes")


def limit(content: str) -> int | None:
    """Bytes that such a file says; None where it holds nothing."""
    number = content.strip()
    return int(number) if number.isdecimal() and int(number) < UNLIMITED else None


def signs(cgroup: Hierarchy) -> list[tuple[Path, str]]:
    """Files and names of counters: with all above 0, a process was killed at this cgroup's own limit.

    One that fell where the whole box, or the cgroup above, ran out of memory counts in one of them only.
    """
    if cgroup.version == 2:
        return [(cgroup.memory / "memory.events", name) for name in ("oom", "oom_kill")]
    return [(cgroup.memory / "memory.oom_control", "oom_kill"), (cgroup.memory / "memory.failcnt", "")]


def counter(content: str, name: str) -> int:
    """What that line of a file says; without a name, its only one."""
    found = re.search(rf"^{name} ?(\d+)$", content, re.MULTILINE)
    return int(found[1]) if found else 0


def left_behind(names: Iterable[str], alive: Collection[int], own: int) -> list[str]:
    """Cgroups of agents that are no more; an agent with this process's own number was before it."""
    agents = {name: re.fullmatch(rf"{PREFIX}(\d+)-\d+", name) for name in names}
    return [name for name, of in agents.items() if of and (int(of[1]) == own or int(of[1]) not in alive)]


def beyond(limit_bytes: int) -> str:
    """Of a worker that was killed at that limit."""
    return f"took more memory than the {limit_bytes / 2**30:.1f} GiB it may have, and was killed"


def _paths(cgroups: str) -> dict[str, str]:
    """By controller; version 2 has the empty name."""
    found = {}
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _mounts(mounts: str) -> Iterator[_Mount]:
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        _, _, _, root, place, options, *_ = before.split()
        kind, _, of_all = behind.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            writable = "rw" in options.split(",") and "rw" in of_all.split(",")
            version = 2 if kind == "cgroup2" else 1
            yield _Mount(
                PurePosixPath(_plain(root)), Path(_plain(place)), writable, version, frozenset(of_all.split(","))
            )


def _folder(path: str, controller: str, mounts: Iterable[_Mount]) -> Path | Absent:
    """Where that cgroup is seen; the controller says in which hierarchy."""
    seen = [
        mount
        for mount in mounts
        if (controller in mount.controllers if controller else mount.version == 2)
        and PurePosixPath(path).is_relative_to(mount.root)
    ]
    if not seen:
        return Absent("the agent's own cgroup is not to be seen here")
    usable = [mount for mount in seen if mount.writable]
    if not usable:
        return Absent(f"{seen[-1].place} is read-only")
    return usable[-1].place / PurePosixPath(path).relative_to(usable[-1].root)


def _plain(escaped: str) -> str:
    """As the kernel writes blanks in paths."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), escaped)
