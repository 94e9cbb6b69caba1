"""The machine a bench runs on, and what else it did meanwhile. Linux, from /proc."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Set
from pathlib import Path

from agent.bench.figures import Machine
from agent.telemetry.nodestats import TICKS_PER_SECOND

_BUSY = (0, 1, 2, 5, 6, 7)  # of a cpu's line in /proc/stat: user, nice, system, irq, softirq, steal


def busy_seconds(text: str, cpus: Set[int]) -> float:
    """Of these CPUs, from /proc/stat. Pure."""
    ticks = 0
    for line in text.splitlines():
        name, _, figures = line.partition(" ")
        if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cpus:
            fields = figures.split()
            ticks += sum(int(fields[index]) for index in _BUSY)
    return ticks / TICKS_PER_SECOND


def cpu_model(text: str) -> str:
    """From /proc/cpuinfo; "" where it names none. Pure."""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, "")


class Meter:
    """What other processes take of our cores. Children count once they have ended, so none may run at either end."""

    def __init__(self) -> None:
        self._cpus = os.sched_getaffinity(0)
        self._started, self._busy, self._own = time.monotonic(), self._all(), _own()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def machine(self, cores: int) -> Machine:
        others = self._all() - self._busy - (_own() - self._own)
        model = cpu_model(Path("/proc/cpuinfo").read_text()) or platform.machine()
        return Machine(model, cores, max(0.0, others) / max(self.seconds, 1e-9))

    def _all(self) -> float:
        return busy_seconds(Path("/proc/stat").read_text(), self._cpus)


def _own() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
