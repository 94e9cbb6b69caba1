"""How many frames a second each camera gives, and in which size: lowered under overload, raised again with room.

Asked every two seconds. Rules that hold here:

- It is the last thing that helps. So overload is more than 2 % of frames given up in each step of ten seconds: by then
  the cloud and smaller sizes have taken what they can. A box that always runs and gives up nothing is just full; one
  that rests for 60 % of the time is short of something else than time. (With one camera, a call that takes a little
  longer than the time between its frames keeps the engine busy for half of it, and costs every second frame.)
- Under overload the cameras whose frames add least give a fifth fewer, as many of them as the excess asks for; at its
  floor a camera's frames take a smaller size instead.
- Room is less than 1 % given up, in the mean of ten seconds, and a box that ran less than 75 % of the time or has a
  cloud to help it. Then the camera whose frames add most gives half a frame a second more; what was made smaller grows
  first.
- Between overload and room nothing changes, and a camera that has changed stays so for four seconds.
- What a frame adds falls with the frames there are: worth × motion / rate. Equal worth comes to equal rates.
- No camera gives less than its floor, or more than it was configured to.
- Fewer frames come evenly spaced (the pacer's work): a tracker bears that better than frames shed by chance.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from protos.ids import CameraName

STEP_SECONDS = 2.0  # between steps
SHED = 0.02  # share of frames
OVERLOAD_SECONDS = 10.0
RESTS = 0.4  # share of time that a box runs, below which no time is missing
ROOM = 0.75  # share of time
SPARE = 0.01  # share of frames
ROOM_SECONDS = 10.0
DWELL_SECONDS = 4.0
ALIKE = 1.5  # times what the least adds: frames of these add about as little
LESS = 0.8  # times the rate
MORE = 0.5  # frames a second
SMALLER_SAVES = 0.5  # of a camera's load, of the next smaller size: a guess, for how many cameras take a step


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of one camera."""

    rate: float  # frames a second, as configured: never more
    worth: float = 1.0  # of a correct answer to one of its frames
    motion: float = 1.0  # share of its frames in which something moves


@dataclass(frozen=True, slots=True)
class Setting:
    """What a camera gets."""

    rate: float  # frames a second
    smaller: int = 0  # steps below the largest size that its frames may take
    since: float = -math.inf  # monotonic seconds of its last change; -inf: it gives what it was configured to


class Rates:
    """`floor`: frames a second that no camera goes below; `sizes`: how many a release has. Both may change."""

    __slots__ = ("_overload_since", "_room_since", "_shed", "floor", "settings", "sizes")

    def __init__(self, floor: float, sizes: int = 1) -> None:
        self.floor = floor
        self.sizes = sizes
        self.settings: dict[CameraName, Setting] = {}
        self._room_since: float | None = None
        self._overload_since: float | None = None
        self._shed: deque[float] = deque(maxlen=round(ROOM_SECONDS / STEP_SECONDS))  # of the last steps

    @property
    def lowered(self) -> frozenset[CameraName]:
        """Cameras that give less than they were configured to."""
        return frozenset(name for name, setting in self.settings.items() if setting.since > -math.inf)

    def step(
        self, cameras: Mapping[CameraName, Wanted], shed: float, busy: float, now: float, *, helped: bool = False
    ) -> dict[CameraName, Setting]:
        """What every camera gets from now on.

        `shed`: share of the frames since the last step that were given up; `busy`: share of time that the box ran;
        `helped`: a cloud takes what it can't.
        """
        self._shed.append(shed)
        self.settings = {name: self._within(name, wanted) for name, wanted in cameras.items()}
        if shed > SHED and busy >= RESTS:
            if self._overload_for(now) >= OVERLOAD_SECONDS:
                self._lower(cameras, shed, now)
        else:
            self._overload_since = None
        if sum(self._shed) / len(self._shed) > SPARE or (busy >= ROOM and not helped):
            self._room_since = None
        elif self._room_for(now) >= ROOM_SECONDS:
            self._raise(cameras, now)
        return dict(self.settings)

    def _within(self, name: CameraName, wanted: Wanted) -> Setting:
        known = self.settings.get(name)
        if known is None or known.since == -math.inf:
            return Setting(wanted.rate)
        rate, smaller = min(wanted.rate, max(self.floor, known.rate)), min(known.smaller, self.sizes - 1)
        return replace(known, rate=rate, smaller=smaller) if smaller or rate < wanted.rate else Setting(wanted.rate)

    def _overload_for(self, now: float) -> float:
        if self._overload_since is None:
            self._overload_since = now
        return now - self._overload_since

    def _room_for(self, now: float) -> float:
        if self._room_since is None:
            self._room_since = now
        return now - self._room_since

    def _lower(self, cameras: Mapping[CameraName, Wanted], excess: float, now: float) -> None:
        """Take the excess off those that add least; never more than one step of a camera."""
        to_save = excess * sum(setting.rate for setting in self.settings.values())
        adds = {name: self._adds(name, cameras[name]) for name, known in self.settings.items() if self._can_less(known)}
        least = min(adds.values(), default=0.0)
        for name in sorted(adds, key=adds.__getitem__):
            if to_save <= 0.0 or adds[name] > ALIKE * least:
                return
            if now - self.settings[name].since >= DWELL_SECONDS:
                to_save -= self._less(name, now)

    def _can_less(self, setting: Setting) -> bool:
        return setting.rate > self.floor or setting.smaller < self.sizes - 1

    def _less(self, name: CameraName, now: float) -> float:
        """One step down; frames a second that it saves."""
        before = self.settings[name]
        if before.rate > self.floor:
            rate = max(self.floor, LESS * before.rate)
            self.settings[name] = replace(before, rate=rate, since=now)
            return before.rate - rate
        self.settings[name] = replace(before, smaller=before.smaller + 1, since=now)
        return SMALLER_SAVES * before.rate

    def _raise(self, cameras: Mapping[CameraName, Wanted], now: float) -> None:
        low = [
            name
            for name, setting in self.settings.items()
            if now - setting.since >= DWELL_SECONDS and (setting.smaller or setting.rate < cameras[name].rate)
        ]
        if not low:
            return
        name = max(low, key=lambda name: (self.settings[name].smaller > 0, self._adds(name, cameras[name])))
        before = self.settings[name]
        if before.smaller:
            self.settings[name] = replace(before, smaller=before.smaller - 1, since=now)
        else:
            self.settings[name] = replace(before, rate=min(cameras[name].rate, before.rate + MORE), since=now)

    def _adds(self, name: CameraName, wanted: Wanted) -> float:
        return wanted.worth * wanted.motion / max(1e-3, self.settings[name].rate)
