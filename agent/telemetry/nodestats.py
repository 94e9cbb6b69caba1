"""What the agent and its workers cost the box: CPU time and PSS of the process tree, free disk. Linux, from /proc.

PSS shares out memory that several processes map, so the sum over the tree is what the box would get back. Reading it
walks page tables (a few milliseconds per process), so it is done every few seconds and off the event loop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from agent.telemetry.records import NodeStats

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
QUIET_SECONDS = 3500.0  # between two that say nothing new: any hour has one
CORES_MOVED = 0.1
MEMORY_MOVED = DISK_MOVED = 0.2  # of what it was
FEW_WAITING, WAITING_MOVED = 100, 0.2
_PARENT, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14  # of /proc/<pid>/stat, counted behind the name


@dataclass(frozen=True)
class Usage:
    """Of a whole process tree at one moment. CPU seconds of children that ended are in their parent's."""

    cpu_seconds: float
    memory_bytes: int


@dataclass
class CpuMeter:
    """CPU seconds so far → cores used since the last call. Pure."""

    _last: tuple[float, float] | None = field(default=None)

    def cores(self, cpu_seconds: float, now: float) -> float:
        last, self._last = self._last, (cpu_seconds, now)
        if last is None or now <= last[1]:
            return 0.0
        return max(0.0, cpu_seconds - last[0]) / (now - last[1])


def parse_stat(text: str) -> tuple[int, float]:
    """Parent and CPU seconds (ended children included) from /proc/<pid>/stat."""
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    ticks = sum(int(fields[index]) for index in (_UTIME, _STIME, _CUTIME, _CSTIME))
    return int(fields[_PARENT]), ticks / TICKS_PER_SECOND


def parse_pss(text: str) -> int:
    """Bytes from /proc/<pid>/smaps_rollup."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def parse_available(text: str) -> int:
    """Bytes of memory that can be had without swapping, from /proc/meminfo; of a kernel that does not tell, 0."""
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)


def available_memory() -> int:
    return parse_available(Path("/proc/meminfo").read_text())


def tree(parents: dict[int, int], root: int) -> set[int]:
    """`root` and all its descendants."""
    found, fresh = {root}, {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh and pid not in found}
        found |= fresh
    return found


def usage(root: int, proc: Path = Path("/proc")) -> Usage:
    """Of the tree under `root`. A process that ends while we look counts as gone."""
    stats: dict[int, tuple[int, float]] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit() and (text := _read(entry / "stat")):
            stats[int(entry.name)] = parse_stat(text)
    pids = tree({pid: parent for pid, (parent, _) in stats.items()}, root) & set(stats)
    memory = sum(parse_pss(_read(proc / str(pid) / "smaps_rollup")) for pid in pids)
    return Usage(sum(stats[pid][1] for pid in pids), memory)


def measure(meter: CpuMeter, now: float, folder: Path) -> NodeStats:
    """Of this process and its workers, and of the disk under `folder`."""
    used = usage(os.getpid())
    disk = os.statvfs(folder)
    return NodeStats(meter.cores(used.cpu_seconds, now), used.memory_bytes, disk.f_bavail * disk.f_frsize)


@dataclass(frozen=True)
class Figures:
    """What a NodeStats record tells. `waiting` and `dropped`: records of the outbox."""

    stats: NodeStats
    waiting: int
    dropped: int


def notable(told: Figures, now: Figures) -> bool:
    """Whether figures have moved so far that whoever looks should see it before QUIET_SECONDS are over."""
    waiting = max(told.waiting, now.waiting)
    behind = waiting > FEW_WAITING and abs(now.waiting - told.waiting) > WAITING_MOVED * waiting
    return behind or now.dropped != told.dropped or _spends_differently(told.stats, now.stats)


def _spends_differently(told: NodeStats, now: NodeStats) -> bool:
    return (
        abs(now.cpu_cores_used - told.cpu_cores_used) > CORES_MOVED
        or abs(now.memory_bytes - told.memory_bytes) > MEMORY_MOVED * told.memory_bytes
        or abs(now.disk_free_bytes - told.disk_free_bytes) > DISK_MOVED * told.disk_free_bytes
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def own_usage(proc: Path = Path("/proc/self")) -> Usage:
    """Of this process alone."""
    return Usage(parse_stat(_read(proc / "stat"))[1], parse_pss(_read(proc / "smaps_rollup")))
