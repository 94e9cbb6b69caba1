"""What processes and the machine cost, as the kernel counts it: seconds of CPU, proportional memory, descendants."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> list[int]:
    """The process and all its descendants that are there now."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it ended meanwhile
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    found, last = [pid], [pid]
    while last:
        last = [child for child, parent in parents.items() if parent in last]
        found += last
    return found


def runs(pid: int) -> bool:
    """Is it there, and not only waited for by its parent?"""
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def cpu_seconds_of(pids: Iterable[int]) -> float:
    """Of all that are still there."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            total += cpu_seconds(pid)
    return total


def core_seconds_of(pids: Iterable[int]) -> float:
    """How long so far their threads had a core, to the nanosecond for those that sleep; all must be there."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def pss_mb_of(pids: Iterable[int]) -> float:
    """Of all that are still there."""
    total = 0.0
    for pid in pids:
        with suppress(OSError, StopIteration):
            total += pss_mb(pid)
    return total


def cpu_seconds_of_tree(pid: int) -> float:
    """Of the process and all its descendants, those included that ended and were waited for."""
    total = 0.0
    for each in family(pid):
        with suppress(OSError):
            total += sum(map(int, _stat(each)[11:15])) / TICKS
    return total


def taken_mb_of(pids: Iterable[int], *, shared: bool = True) -> float:
    """Memory that they took themselves, of all that are still there: their own and what they share among them.

    Unlike the proportional memory it is the same whoever else on the machine has the same libraries loaded.
    """
    counted = ("Pss_Anon:", "Pss_Shmem:") if shared else ("Pss_Anon:",)
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(counted))
    return total / 1024


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
