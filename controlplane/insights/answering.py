"""What answers for a camera: each Deployment that was due its frames of late, how they ended, and what is wrong. Pure.

A camera that gives pictures may still show nothing, because its frames are given up before or after inference. That is
said in words, with what would help, wherever the camera is shown. A frame in which nothing moved is not given up: it is
judged neither way, so that a quiet camera is not late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from controlplane.fleet.quantities import duration_ms
from controlplane.insights.domain import Part, Sums, gathered
from protos.outcomes import Outcome, Stage
from protos.pace import deadline_ms, pace

SPAN_MS = 60_000  # of the windows that are judged
FEW_FRAMES = 10  # of fewer a share says little
WELL = 0.9  # in time at least, or it is told


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
        cause = self._cause()
        if cause is None:
            return ""
        told = {
            "share": f"{100 * (self.sums.looked_at - self.sums.in_time) / self.sums.looked_at:.0f} %",
            "deadline": self.objective.deadline,
            "took": f"one takes {self.frame_ms:.0f} ms on the box" if self.frame_ms else "the box answered none",
            "keeps": self._keeps(),
        }
        return f"{self.objective.deployment} {_SAID[cause].format(**told)}"

    def _cause(self) -> Cause | None:
        """Of the most of what was lost; None where little was lost or seen."""
        if self.sums.looked_at < FEW_FRAMES or self.sums.in_time >= WELL * self.sums.looked_at:
            return None
        lost = {outcome: self.sums.counts.get(outcome, 0) for outcome in _CAUSES}
        cause = _CAUSES[max(lost, key=lambda outcome: lost[outcome])]
        return Cause.BUSY if cause is Cause.SLOW and self._fits() else cause

    def _fits(self) -> bool:
        """One frame after the other would be answered in time here."""
        return self.frame_ms > 0 and deadline_ms(self.frame_ms / 1000) <= self.objective.deadline_ms

    def _keeps(self) -> str:
        """What to give to whom, so that the release keeps up here; nothing that is there already."""
        if not self.frame_ms:
            return "the camera a lower rate and the deployment a longer deadline ('longshore try' measures both)"
        kept, rate = pace(self.frame_ms / 1000, self.frame_ms / 1000), 1000 * self.sums.due / SPAN_MS
        wanted = [
            f"the camera a rate of {kept.rate:g}" if kept.rate < rate else "",
            f"the deployment a deadline of {kept.deadline_ms}ms" if not self._fits() else "",
        ]
        return " and ".join(filter(None, wanted)) or "its cameras a lower rate"

    @property
    def frame_ms(self) -> float:
        """Mean of inference on the box; 0 when the box answered none."""
        answered = self.sums.box.answered
        return 1000 * self.sums.stages.get(Stage.INFER, 0.0) / answered if answered else 0.0


class Cause(Enum):
    """What most of the frames that got no answer in time came to."""

    SLOW = auto()
    BUSY = auto()
    OVERTAKEN = auto()
    CLOUD = auto()
    ERROR = auto()


_CAUSES: Mapping[Outcome, Cause] = {
    Outcome.SHED: Cause.SLOW,
    Outcome.EXPIRED: Cause.SLOW,
    Outcome.SUPERSEDED: Cause.OVERTAKEN,
    Outcome.CLOUD_LATE: Cause.CLOUD,
    Outcome.ERROR: Cause.ERROR,
}
_SAID: Mapping[Cause, str] = {
    Cause.SLOW: (
        "is too slow here for its deadline of {deadline}: {share} of the frames are given up, {took}; give {keeps}, "
        "or take a smaller or int8 model"
    ),
    Cause.BUSY: (
        "is late here: {share} of the frames are given up by the deadline of {deadline}, though {took}; the box has "
        "too much to do: give {keeps}, let the cloud help, or move a camera to another box"
    ),
    Cause.OVERTAKEN: (
        "cannot keep up with this camera: {share} of the frames are overtaken by newer ones, {took}; give {keeps}, "
        "or take a smaller or int8 model"
    ),
    Cause.CLOUD: (
        "gets its answers from the cloud too late for {deadline}: {share} of the frames are lost; see how busy the "
        "cloud node is and how its uplink fares ('longshore top'), or give the deployment a longer deadline"
    ),
    Cause.ERROR: "fails: {share} of the frames end in an error; the box's log says why (longshore logs)",
}


def objectives(deployments: Iterable[Mapping[str, Any]]) -> dict[str, Objective]:
    """By name, of Deployments as REST shows them."""
    found = {}
    for item in deployments:
        name, spec = item["metadata"]["name"], item["spec"]
        deadline = duration_ms(spec["objective"]["deadline"], "deadline")
        found[name] = Objective(name, f"{spec['model']} {spec['version']}", deadline)
    return found


def shortest_ms(names: Iterable[str], deployments: Iterable[Mapping[str, Any]]) -> int:
    """The shortest deadline of the named ones, in milliseconds; 0 without any."""
    known = objectives(deployments)
    return min((known[name].deadline_ms for name in names if name in known), default=0)


def answering(parts: Iterable[Part], known: Mapping[str, Objective]) -> list[Answering]:
    """In the order of `parts`; of Deployments that are gone nothing is told."""
    return [
        Answering(each.camera, each.node, known[each.deployment], each) for each in parts if each.deployment in known
    ]


def by_camera(parts: Iterable[Part], deployments: Iterable[Mapping[str, Any]]) -> dict[str, list[Answering]]:
    return gathered(answering(parts, objectives(deployments)), lambda each: each.camera)
