"""How far a deployment has come down, as one visible state: GPU → other provider → CPU → cloud → lower rate → nothing.

Rules that hold here:

- It tells, and decides nothing: engines are loaded by the stand, frames go up by the policy, rates are set by `rates`.
  What each of them does is a fact here; the lowest rung that a fact puts the deployment on is the one shown.
- Down at the first look at which a fact says so; up when what is better held for five seconds, or a box whose engine
  dies once a second would be shown as well.
- Every rung has its reason, in one sentence for people. A deployment that asked for no GPU is at its best on CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.providers import on_cpu

HOLD_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between looks, so that a fall is told within a second


class Rung(StrEnum):
    """From the best down, in this order."""

    GPU = "gpu"
    OTHER = "other"  # a provider that was not asked for, and is no plain CPU
    CPU = "cpu"
    CLOUD = "cloud"
    LOWER_RATE = "lower_rate"
    NOTHING = "nothing"


DEPTH = {rung: depth for depth, rung in enumerate(Rung)}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a deployment has now."""

    wanted: str  # provider that was asked for, as agent.providers spells it
    provider: str = ""  # that answers on the box; empty: none does
    cloud: bool = False  # it may be asked, and answers
    lowered: int = 0  # cameras that give fewer or smaller frames than configured
    lowest: str = ""  # the lowest of them, as agent.pipeline.lowering says it
    declined: str = ""  # why another provider than the one asked for runs it, as a sentence


@dataclass(slots=True)
class Ladder:
    """`rung` and `why` (one sentence) hold as of the last `look`, `since` (monotonic seconds) as of the last change."""

    rung: Rung = Rung.NOTHING
    why: str = "Nothing has answered yet."
    since: float = float("-inf")
    _better_since: float | None = None

    def look(self, facts: Facts, now: float) -> bool:
        """True when the rung has changed. Look at every change of a fact, and every second."""
        rung, why = judged(facts)
        if DEPTH[rung] < DEPTH[self.rung] and not self._held(now):
            return False
        changed = rung is not self.rung
        if changed:
            self.since = now
        self.rung, self.why, self._better_since = rung, why, None
        return changed

    @property
    def wake_at(self) -> float | None:
        """When a look would take it up, if facts stay as they are."""
        return None if self._better_since is None else self._better_since + HOLD_SECONDS

    def _held(self, now: float) -> bool:
        """Has what is better held long enough? From nothing, at once."""
        if self.rung is Rung.NOTHING:
            return True
        if self._better_since is None:
            self._better_since = now
        return now - self._better_since >= HOLD_SECONDS


def judged(facts: Facts) -> tuple[Rung, str]:
    """The rung that the facts put a deployment on, and why."""
    if not facts.provider and not facts.cloud:
        return Rung.NOTHING, "Nothing answers: no engine runs on this box, and no cloud node can be asked."
    if facts.lowered:
        cameras = "one camera gives" if facts.lowered == 1 else f"{facts.lowered} cameras give"
        such = f": {facts.lowest}" if facts.lowest else ""
        return Rung.LOWER_RATE, f"More frames came than are answered in time, so {cameras} fewer or smaller ones{such}."
    if not facts.provider:
        return Rung.CLOUD, "No engine runs on this box: the cloud answers."
    if facts.provider == facts.wanted:
        rung = Rung.CPU if on_cpu(facts.provider) else Rung.GPU
        return rung, f"It runs on {facts.provider}, as was asked for."
    reason = facts.declined or f"{facts.wanted} does not run it: {facts.provider} does."
    return Rung.CPU if facts.provider == "cpu" else Rung.OTHER, reason
