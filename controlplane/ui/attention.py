"""What needs somebody, worst first: one sentence each, with where to go. Pure.

Said once: a camera of a box that is away is not told beside its box, a box that refused a release is told and not its
deployment too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.fleet.quantities import duration_ms
from controlplane.insights.domain import Sums
from controlplane.ui import boxes, figures
from controlplane.ui.boxes import Around
from controlplane.ui.documents import condition, name_of
from controlplane.ui.page import Document

BAD, WARN, NOTE = "bad", "attention", "note"
_ORDER = (BAD, WARN, NOTE)
FEW_FRAMES = 20  # of a minute: of fewer a share says little
LATE = 0.9  # less than this in time is told
LITTLE_DISK = 2 << 30  # bytes


@dataclass(frozen=True)
class Concern:
    level: str  # bad, attention or note (somebody wanted it so, and may have forgotten)
    subject: str
    sentence: str
    href: str


def concerns(
    nodes: Sequence[Document], cameras: Iterable[Document], around: Around, by_camera: Mapping[str, Sums]
) -> list[Concern]:
    """`by_camera`: sums of the last minute."""
    found = [each for node in nodes for each in _node(node, around)]
    away = {name_of(node) for node in nodes if node["status"]["phase"] != "Online"}
    for camera in cameras:
        if camera["spec"]["node"] not in away:
            found += _camera(camera, by_camera.get(name_of(camera), Sums()))
    for item in around.deployments:
        found += _deployment(item)
    return sorted(found, key=lambda each: _ORDER.index(each.level))


def _node(node: Document, around: Around) -> Iterator[Concern]:
    name, status = name_of(node), node["status"]
    href = f"/nodes/{name}"
    if status["phase"] != "Online":
        yield Concern(BAD, name, _without(name, condition(node, "Ready")["message"]), href)
        return
    converged = condition(node, "Converged")
    if converged["status"] != "True":
        level = BAD if converged["reason"] == "Failed" else WARN
        yield Concern(level, name, _without(name, converged["message"]), href)
    for problem in status["problems"]:
        yield Concern(WARN, name, problem["message"], href)
    yield from _disk(name, around, told="disk" in " ".join(each["code"] for each in status["problems"]))
    if any(each.node == name for each in around.lost):
        yield Concern(WARN, name, boxes.losses(name, around).partition(" (")[0], href)
    yield from _wanted(name, node["spec"], href)


def _disk(name: str, around: Around, *, told: bool) -> Iterator[Concern]:
    stats = (around.stats or {}).get(name)
    if stats and not told and 0 < stats.disk_free_bytes < LITTLE_DISK:
        left = figures.size(stats.disk_free_bytes)
        yield Concern(WARN, name, f"has {left} of disk left; free some before the next release", f"/nodes/{name}")


def _wanted(name: str, spec: Document, href: str) -> Iterator[Concern]:
    if spec["paused"]:
        yield Concern(NOTE, name, "is paused: its cameras are not read until somebody resumes it", href)
    if duration_ms(spec["slowDown"], "slowDown"):
        yield Concern(NOTE, name, f"is slowed down by {spec['slowDown']} until somebody lets go", href)


def _camera(camera: Document, sums: Sums) -> Iterator[Concern]:
    name, status = name_of(camera), camera["status"]
    href = f"/cameras/{name}"
    ready = condition(camera, "Ready")
    if ready["status"] != "True":
        if status["state"] != "paused":
            yield Concern(BAD if status["state"] == "unknown" else WARN, name, _without(name, ready["message"]), href)
    elif sums.due >= FEW_FRAMES and sums.in_time < LATE * sums.due:
        share = figures.percent(sums.in_time, sums.due)
        yield Concern(WARN, name, f"has {share} % of its frames answered in time{_mostly(sums)}", href)
    if status["refusedSpec"]:
        yield Concern(
            WARN, name, f"keeps its last good settings, the newest were refused: {status['refusedSpec']}", href
        )


def _mostly(sums: Sums) -> str:
    """What most of the others came to."""
    lost = {outcome: count for outcome, count in sums.counts.items() if not outcome.startswith("ok_") and count}
    if not lost:
        return ""
    worst = max(lost, key=lambda outcome: lost[outcome])
    return f"; {figures.percent(lost[worst], sums.due)} % {worst.replace('_', ' ')}"


def _deployment(item: Document) -> Iterator[Concern]:
    """Those of its boxes speak for themselves; these have none."""
    converged = condition(item, "Converged")
    if converged["reason"] in ("ReleaseMissing", "NoBoxSelected"):
        yield Concern(BAD, name_of(item), converged["message"], f"/deployments/{name_of(item)}")


def _without(name: str, message: str) -> str:
    """The subject stands before the sentence already."""
    return message.removeprefix(f"{name} ")
