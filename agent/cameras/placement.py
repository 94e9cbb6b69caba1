"""Which capture worker hosts which camera, and which camera is to blame for a worker's death. Pure.

Up to LIMIT cameras share a process, because a process costs more memory than a camera. What runs is not moved. A
camera that killed its worker twice gets one of its own, so that it costs its neighbours nothing any more.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from protos.ids import CameraName

LIMIT = 8  # cameras per worker
STRIKES = 2  # deaths of its worker that a camera is blamed for
UNCLEAR_STRIKES = 4  # deaths of its worker that nobody is blamed for, such as by memory's end
WINDOW = 600.0  # seconds after which a death is forgotten

_DYING_THREAD = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)


def assign(
    now: Mapping[CameraName, int],
    wanted: Iterable[CameraName],
    alone: Collection[CameraName],
    limit: int = LIMIT,
    kinds: Mapping[CameraName, str] = {},
) -> dict[CameraName, int]:
    """Worker number of each wanted camera, from those of the cameras that run now.

    Only cameras of the same kind share a worker; one whose kind has changed is not in `now`.
    """
    names = sorted(set(wanted))
    placed = {name: now[name] for name in names if name in now}
    members: defaultdict[int, set[CameraName]] = defaultdict(set)
    for name, number in placed.items():
        members[number].add(name)
    for name in names:
        if name in placed and (name not in alone or len(members[placed[name]]) == 1):
            continue
        if name in placed:
            members[placed[name]].discard(name)
        alike = {number: names for number, names in members.items() if names and _kind(kinds, names) == kinds.get(name)}
        room = None if name in alone else _room(alike, alone, limit)
        placed[name] = _unused(members) if room is None else room
        members[placed[name]].add(name)
    return placed


def culprit(last_words: str, threads: Mapping[int, CameraName]) -> CameraName | None:
    """The camera whose thread was running native code that crashed, by what faulthandler wrote."""
    match = _DYING_THREAD.search(last_words)
    return threads.get(int(match[1], 16)) if match else None


@dataclass
class Strikes:
    """Deaths of workers, and who has to live alone for them."""

    alone: set[CameraName] = field(default_factory=set)
    _blamed: defaultdict[CameraName, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _present: defaultdict[CameraName, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def died(self, cameras: Collection[CameraName], blamed: CameraName | None, now: float) -> None:
        """A worker that hosted `cameras` died."""
        if blamed is not None:
            self._count(self._blamed, blamed, STRIKES, now)
        elif len(cameras) > 1:
            for camera in cameras:
                self._count(self._present, camera, UNCLEAR_STRIKES, now)

    def forget(self, camera: CameraName) -> None:
        """It was removed or given another source: a new beginning."""
        self.alone.discard(camera)
        self._blamed.pop(camera, None)
        self._present.pop(camera, None)

    def _count(self, deaths: defaultdict[CameraName, deque[float]], camera: CameraName, limit: int, now: float) -> None:
        times = deaths[camera]
        times.append(now)
        while times[0] <= now - WINDOW:
            times.popleft()
        if len(times) >= limit:
            self.alone.add(camera)


def _kind(kinds: Mapping[CameraName, str], names: Iterable[CameraName]) -> str | None:
    return kinds.get(next(iter(names)))


def _room(members: Mapping[int, set[CameraName]], alone: Collection[CameraName], limit: int) -> int | None:
    """The fullest worker with room: few processes rather than even ones."""
    open_ones = [
        (-len(names), number) for number, names in members.items() if 0 < len(names) < limit and not names & set(alone)
    ]
    return min(open_ones)[1] if open_ones else None


def _unused(members: Mapping[int, set[CameraName]]) -> int:
    taken = {number for number, names in members.items() if names}
    return next(number for number in range(len(taken) + 1) if number not in taken)
