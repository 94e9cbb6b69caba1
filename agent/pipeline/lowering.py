"""How many frames a second a deployment takes of each camera: what its lane did, as `Rates` wants it told. No I/O.

Rules that hold here:

- A frame is given up that was shed, superseded or let expire in the lane. One that was not taken because its camera is
  lowered was never due: it has no number, no outcome, and is none of these.
- Fewer frames help only where the box itself answers some in time. Where it answers none, as while its engine is away
  or slower than the deadline, nothing is lowered: what the cloud can't take then is chosen by worth.
- Where the cloud helps the box may be full: there is room as long as next to nothing is given up.
- A call in a larger size counts as if it were in the cheapest: that it takes where time is short.
- Frames in which nothing moved are no load. How seldom something moves says how little a camera's frames add.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.offload.rates import SHED, STEP_SECONDS, Rates, Setting, Wanted
from agent.pipeline.actions import Action, Finish
from agent.pipeline.lane import Lane
from protos.ids import CameraName
from protos.outcomes import Outcome

ANSWERED_HERE = frozenset({Outcome.OK_LOCAL, Outcome.OK_HEDGE})
GIVEN_UP = frozenset({Outcome.SHED, Outcome.SUPERSEDED, Outcome.EXPIRED})
LEAST_RATE = 0.1  # frames a second, whatever a floor says: a camera that gives none is never seen to have room
MOTION_GAIN = 0.2  # of one step, in the share of frames in which something moves
NAMED = 3  # cameras, in a sentence


@dataclass
class Tally:
    """What happened since `since`, monotonic seconds."""

    since: float
    ended: int = 0  # frames
    given_up: int = 0
    here: int = 0  # answered in time by the box
    ran: float = 0.0  # seconds of the engine
    moved: Counter[CameraName] = field(default_factory=Counter)
    still: Counter[CameraName] = field(default_factory=Counter)

    def end(self, outcome: Outcome) -> None:
        self.ended += 1
        self.given_up += outcome in GIVEN_UP
        self.here += outcome in ANSWERED_HERE

    @property
    def shed(self) -> float:
        """The share of frames that fewer frames would have saved."""
        if not self.ended:
            return 0.0
        share = self.given_up / self.ended
        return share if self.here else min(SHED, share)

    def busy(self, now: float) -> float:
        """The share of time that the engine ran."""
        return self.ran / max(1e-3, now - self.since)


class Lowering:
    """Of one deployment. `moved` and `still` tell it of frames that arrive, `seen` after each event of the lane."""

    def __init__(self, lane: Lane, now: float) -> None:
        self._lane = lane
        self._rates = Rates(LEAST_RATE)
        self._tally = Tally(now)
        self._runs = 0.0  # of what the engine can do at once, since `_at`
        self._at = now
        self._motion: dict[CameraName, float] = {}
        self._configured: Mapping[CameraName, float] = {}

    def moved(self, camera: CameraName) -> None:
        self._tally.moved[camera] += 1

    def still(self, camera: CameraName) -> None:
        self._tally.still[camera] += 1

    def seen(self, actions: Sequence[Action], now: float) -> None:
        """What the lane said to do."""
        self._pass(now)
        for action in actions:
            if isinstance(action, Finish):
                self._tally.end(action.finished.outcome)

    def due(self, now: float) -> bool:
        """Is it time for a step?"""
        return now - self._tally.since >= STEP_SECONDS

    def step(self, configured: Mapping[CameraName, float], now: float) -> dict[CameraName, Setting]:
        """What each camera gives from now on; `configured`: frames a second. What is made smaller, the lane is told."""
        self._pass(now)
        lane, tally, rates = self._lane, self._tally, self._rates
        self._tally, self._configured = Tally(now), configured
        wanted = {name: self._wanted(name, rate, tally) for name, rate in configured.items()}
        self._motion = {name: each.motion for name, each in wanted.items()}
        rates.floor, rates.sizes = max(LEAST_RATE, lane.terms.floor_rate), len(lane.here.stands())
        settings = rates.step(wanted, tally.shed, tally.busy(now), now, helped=lane.there.helps)
        lane.here.smaller = {name: each.smaller for name, each in settings.items() if each.smaller}
        return settings

    @property
    def rates(self) -> dict[CameraName, float]:
        """Frames a second that each lowered camera gives."""
        return {name: self._rates.settings[name].rate for name in sorted(self._rates.lowered)}

    @property
    def said(self) -> str:
        """The lowest of them, for people: "gate 5 of 10 a second"; "" where none is lowered."""
        lowest = sorted(self.rates.items(), key=lambda each: each[1])[:NAMED]
        parts = [f"{name} {rate:.3g} of {self._configured.get(name, rate):g}" for name, rate in lowest]
        return f"{', '.join(parts)} a second" if parts else ""

    def _wanted(self, name: CameraName, rate: float, tally: Tally) -> Wanted:
        before, came = self._motion.get(name, 1.0), tally.moved[name] + tally.still[name]
        motion = before + MOTION_GAIN * (tally.moved[name] / came - before) if came else before
        return Wanted(rate, self._lane.terms.worth(name), motion)

    def _pass(self, now: float) -> None:
        """Time went by, as the engine was after the last event."""
        here = self._lane.here
        self._tally.ran += self._runs * max(0.0, now - self._at)
        each = (here.quick.expected() / call.line.expected() for call in here.running.values())
        self._runs, self._at = sum(each) / here.width, now
