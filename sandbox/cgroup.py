"""A cgroup for each worker, below the agent's own: it holds the memory and the threads that one worker may take.

    made for a worker before it starts → entered by it first of all (`JOIN`) → proven by it (`entry`) → removed

It counts what an address-space limit cannot: pages of memory files that were never mapped, and a driver's. Where no
cgroup can be made, workers run without, and say why. Version 2 gives controllers to cgroups only where their parent
has no process itself, so an agent that is alone in its cgroup moves into one of its own below it, once. What an agent
that was killed has left is removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.hierarchy import (
    LEAST_TASKS,
    PREFIX,
    TASKS_PER_CORE,
    Absent,
    Hierarchy,
    counter,
    hierarchy,
    left_behind,
    limit,
    limit_file,
    limits,
    signs,
)

FOLDERS, WHY_NOT = "LONGSHORE_WORKER_CGROUPS", "LONGSHORE_WORKER_NO_CGROUP"
BETWEEN = "\n"  # of folders; containers have colons in their names
AT_START = 512 << 20  # bytes: an interpreter and its libraries, before anything is loaded
AGENT = f"{PREFIX}agent"  # version 2: where the agent itself is
# What a worker does about it, as lines of Python: it enters. Whether it got in is proven later.
JOIN = f"""\
for place in filter(None, os.environ.get({FOLDERS!r}, "").split({BETWEEN!r})):
    try:
        with open(place + "/cgroup.procs", "wb", 0) as procs:
            procs.write(b"0")
    except OSError:
        pass
"""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cgroup:
    """One worker's."""

    place: Hierarchy
    memory_bytes: int

    @property
    def environment(self) -> dict[str, str]:
        """For the worker."""
        return {FOLDERS: BETWEEN.join(map(str, self.place.folders))}

    def exceeded(self) -> bool:
        """Was the worker killed at its limit?"""
        with contextlib.suppress(OSError):
            return all(counter(file.read_text(), name) > 0 for file, name in signs(self.place))
        return False

    def remove(self) -> None:
        """Once its worker has ended. Safe to call twice."""
        for folder in self.place.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def told() -> bool:
    """Was this process made for a cgroup, or told why there is none?"""
    return FOLDERS in os.environ or WHY_NOT in os.environ


def proven() -> str:
    """What holds of the cgroup that was made for this process. Raises OSError, with what does not."""
    if reason := os.environ.get(WHY_NOT):
        raise OSError(errno.ENODEV, reason)
    mine, made_for_it = _of_this_process(), os.environ[FOLDERS].split(BETWEEN)
    if isinstance(mine, Absent) or not set(made_for_it) <= set(map(str, mine.folders)):
        raise OSError(errno.EPERM, "one was made, and this process is not in it")
    held = limit(limit_file(mine).read_text())
    if held is None:
        raise OSError(errno.EPERM, "one was made, and it has no limit")
    return f"{held / 2**30:.1f} GiB"


def made(room: int) -> Cgroup | Absent:
    """A cgroup for a worker that may take `room` bytes beyond what it has at its start, or why there is none."""
    ours = own()
    try:
        return ours if isinstance(ours, Absent) else _made(ours, room)
    except OSError as error:
        return Absent(_sentence(error))


def own() -> Hierarchy | Absent:
    """The agent's own cgroup, ready to have others below it. What may pass is not kept: the next worker asks anew."""
    try:
        return _lasting()
    except OSError as error:  # as where no file can be opened
        return Absent(_sentence(error))


@functools.cache
def _lasting() -> Hierarchy | Absent:
    """Raises OSError for what may pass."""
    place = _place()
    return place if isinstance(place, Absent) else prepared(place)


@functools.cache
def _place() -> Hierarchy | Absent:
    """Where this process was before anything moved it. Raises OSError."""
    return _of_this_process()


def of_workers(agent: int) -> str:
    """What the workers of an agent that runs have of them, as another process sees it: it changes nothing.

    Raises OSError: they have none, and why.
    """
    place = _of_process(agent)
    if isinstance(place, Absent):
        raise OSError(errno.ENODEV, place.reason)
    divided = place.memory.name == AGENT
    ours = place.memory.parent if divided else place.memory
    made = len([*ours.glob(f"{PREFIX}{agent}-*")])
    if made:
        return f"{made} of workers below {ours}"
    if not divided:
        _check_divisible(place, agent)
    return f"none is needed yet below {ours}"


def _check_divisible(place: Hierarchy, agent: int) -> None:
    """Raises OSError."""
    if place.version == 1:
        if _user_of(Path(f"/proc/{agent}")) not in (0, _user_of(place.memory)):
            raise OSError(errno.EACCES, f"the agent's user may make none in {place.memory}")
        return
    sharing = len(_words(place.memory / "cgroup.procs"))
    if sharing > 1:
        raise OSError(errno.EBUSY, f"none is below {place.memory}, and {sharing} processes share the agent's own")


def _user_of(path: Path) -> int:
    return path.stat().st_uid


def _of_this_process() -> Hierarchy | Absent:
    return _of_process("self")


def _of_process(process: int | str) -> Hierarchy | Absent:
    try:
        return hierarchy(Path(f"/proc/{process}/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except FileNotFoundError:
        return hierarchy("", "")


def prepared(ours: Hierarchy) -> Hierarchy | Absent:
    """Made ready: controllers handed down, and what others have left removed. Raises OSError for what may pass."""
    if not os.access(ours.memory, os.W_OK):
        return Absent(f"this user may make none in {ours.memory}")
    if ours.tasks is not None and not os.access(ours.tasks, os.W_OK):
        ours = replace(ours, tasks=None)
    if ours.version == 2:
        wanted = [each for each in ("memory", "pids") if each in _words(ours.memory / "cgroup.controllers")]
        if "memory" not in wanted:
            return Absent("the agent's cgroup is not given the memory controller")
        _hand_down(ours.memory, wanted)
    for folder in ours.folders:
        _sweep(folder)
    return ours


def _hand_down(folder: Path, wanted: Sequence[str]) -> None:
    if not set(wanted) <= set(_words(folder / "cgroup.subtree_control")):
        _alone_below(folder, " ".join(f"+{each}" for each in wanted))


def _words(file: Path) -> list[str]:
    return file.read_text().split()


def _alone_below(folder: Path, controllers: str) -> None:
    """Hand down, from a cgroup of the agent's own. Raises OSError where others stay behind."""
    control = folder / "cgroup.subtree_control"
    try:
        _write(control, controllers)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        with _moved(folder):
            _write(control, controllers)


@contextlib.contextmanager
def _moved(folder: Path) -> Iterator[None]:
    """This process into its own cgroup below; back where the block fails."""
    below = folder / AGENT
    below.mkdir(exist_ok=True)
    _write(below / "cgroup.procs", str(os.getpid()))
    try:
        yield
    except OSError as error:
        _write(folder / "cgroup.procs", str(os.getpid()))
        below.rmdir()
        if error.errno != errno.EBUSY:
            raise
        raise OSError(errno.EBUSY, "other processes are in the agent's cgroup") from error


def _made(ours: Hierarchy, room: int) -> Cgroup:
    cgroup = Cgroup(ours.child(f"{PREFIX}{os.getpid()}-{next(_numbers)}"), room + AT_START)
    try:
        for folder in cgroup.place.folders:
            folder.mkdir()
        _limit(cgroup)
    except OSError:
        cgroup.remove()
        raise
    return cgroup


def _limit(cgroup: Cgroup) -> None:
    tasks = max(LEAST_TASKS, TASKS_PER_CORE * (os.cpu_count() or 1))
    for setting in limits(cgroup.place, cgroup.memory_bytes, tasks):
        try:
            _write(setting.file, setting.value)
        except OSError:
            if setting.needed:
                raise


def _write(file: Path, value: str) -> None:
    """Into a file that is there: the kernel makes them."""
    fd = os.open(file, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _sweep(folder: Path) -> None:
    alive = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    for name in left_behind((each.name for each in folder.iterdir()), alive, os.getpid()):
        with contextlib.suppress(OSError):  # its workers are still ending: for the next start
            (folder / name).rmdir()


def _sentence(error: OSError) -> str:
    return (error.strerror or str(error))[:200]
