"""What answers for a camera: each Deployment that was due its frames of late, how they ended, and what is wrong. Pure.

A camera that gives pictures may still show nothing, because its frames are given up before or after inference. That is
said in words, with what would help, wherever the camera is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.fleet.quantities import duration_ms
from controlplane.insights.domain import Part, Sums
from protos.outcomes import Outcome, Stage

SPAN_MS = 60_000  # of the windows that are judged
FEW_FRAMES = 10  # of fewer a share says little
WELL = 0.9  # in time at least, or it is told
ROOM = 1.5  # of the time one frame takes: a deadline that leaves it room


@dataclass(frozen=True)
class Objective:
    """Of a Deployment: what it runs, and by when it wants answers."""

    deployment: str
    release: str  # such as "harbour 1.0.0"
    deadline_ms: int

    @property
    def deadline(self) -> str:
        return f"{self.deadline_ms} ms"


@dataclass(frozen=True)
class Answering:
    """One Deployment at one camera of one box, over the last minute."""

    camera: str
    node: str
    objective: Objective
    sums: Sums

    @property
    def trouble(self) -> str:
        """Why many of the frames are not answered in time, and what to do; empty when most are."""
        due, late = self.sums.due, self.sums.due - self.sums.in_time
        if due < FEW_FRAMES or self.sums.in_time >= WELL * due:
            return ""
        lost = {outcome: self.sums.counts.get(outcome, 0) for outcome in _WHY}
        why = _WHY[max(lost, key=lambda outcome: lost[outcome])]
        if why == _SLOW and 0 < ROOM * self.frame_ms <= self.objective.deadline_ms:
            why = _BUSY
        told = {"share": f"{100 * late / due:.0f} %", "deadline": self.objective.deadline}
        return f"{self.objective.deployment} {why.format(**told, took=self._took(), longer=self._longer())}"

    @property
    def frame_ms(self) -> float:
        """Mean of inference on the box; 0 when the box answered none."""
        answered = self.sums.box.answered
        return 1000 * self.sums.stages.get(Stage.INFER, 0.0) / answered if answered else 0.0

    def _took(self) -> str:
        return f"one takes {self.frame_ms:.0f} ms on the box" if self.frame_ms else "the box answered none"

    def _longer(self) -> str:
        """A deadline that one frame fits into, where that is the trouble."""
        wanted = math.ceil(ROOM * self.frame_ms / 50) * 50
        return f"a longer deadline ({wanted}ms)" if wanted > self.objective.deadline_ms else "a longer deadline"


_SLOW = (
    "is too slow here for its deadline of {deadline}: {share} of the frames are given up, {took}; give it {longer}, "
    "give the camera a lower rate, or take a smaller or int8 model"
)
_BUSY = (
    "is late here: {share} of the frames are given up by the deadline of {deadline}, though {took}; the box has too "
    "much to do: give its cameras a lower rate, let the cloud help, or move a camera to another box"
)
_WHY: Mapping[Outcome, str] = {
    Outcome.SHED: _SLOW,
    Outcome.EXPIRED: _SLOW,
    Outcome.SUPERSEDED: (
        "cannot keep up with this camera: {share} of the frames are overtaken by newer ones, {took}; give the camera a "
        "lower rate, or take a smaller or int8 model"
    ),
    Outcome.CLOUD_LATE: (
        "gets its answers from the cloud too late for {deadline}: {share} of the frames are lost; give it {longer}, or "
        "look at the box's uplink"
    ),
    Outcome.ERROR: "fails: {share} of the frames end in an error; the box's log says why (longshore logs)",
    Outcome.STALE_TRACK: "is told by the tracker alone for {share} of the frames, {took}",
}


def objectives(deployments: Iterable[Mapping[str, Any]]) -> dict[str, Objective]:
    """By name, of Deployments as REST shows them."""
    found = {}
    for item in deployments:
        name, spec = item["metadata"]["name"], item["spec"]
        deadline = duration_ms(spec["objective"]["deadline"], "deadline")
        found[name] = Objective(name, f"{spec['model']} {spec['version']}", deadline)
    return found


def answering(parts: Iterable[Part], known: Mapping[str, Objective]) -> list[Answering]:
    """In the order of `parts`; of Deployments that are gone nothing is told."""
    return [
        Answering(each.camera, each.node, known[each.deployment], each) for each in parts if each.deployment in known
    ]


def by_camera(found: Iterable[Answering]) -> dict[str, Sequence[Answering]]:
    gathered: dict[str, list[Answering]] = {}
    for each in found:
        gathered.setdefault(each.camera, []).append(each)
    return dict(gathered)
