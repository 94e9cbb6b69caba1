"""What needs somebody, worst first: one sentence each, with where to go. Pure.

Said once: a camera of a box that is away is not told beside its box, a box that refused a release is told and not its
deployment too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.books.domain import waits_long
from controlplane.fleet.quantities import duration_ms
from controlplane.insights.answering import Answering
from controlplane.ui import boxes, figures
from controlplane.ui.boxes import Around
from controlplane.ui.deployments import NOTES
from controlplane.ui.documents import condition, name_of
from controlplane.ui.page import Document
from protos.problems import pressing

BAD, WARN, NOTE = "bad", "attention", "note"
_ORDER = (BAD, WARN, NOTE)
SHORT = 12  # letters of an id
LITTLE_DISK = 2 << 30  # bytes


Unsigned = tuple[str, str, tuple[str, ...]]  # id, proposer and roles of a proposal


@dataclass(frozen=True)
class Concern:
    level: str  # bad, attention or note (somebody wanted it so, and may have forgotten)
    subject: str
    sentence: str
    href: str


def concerns(
    nodes: Sequence[Document],
    cameras: Iterable[Document],
    around: Around,
    answering: Mapping[str, Sequence[Answering]],
    unsigned: Iterable[Unsigned] = (),
) -> list[Concern]:
    """`answering`: of the last minute, by camera. `unsigned`: what waits for signatures of others."""
    found = [each for node in nodes for each in _node(node, around)]
    away = {name_of(node) for node in nodes if node["status"]["phase"] != "Online"}
    for camera in cameras:
        if camera["spec"]["node"] not in away:
            found += _camera(camera, answering.get(name_of(camera), ()))
    for item in around.deployments:
        found += _deployment(item)
    found += map(_unsigned, unsigned)
    return sorted(found, key=lambda each: _ORDER.index(each.level))


def _unsigned(item: Unsigned) -> Concern:
    name, who, roles = item
    files = " and ".join(f"{role}.json" for role in roles) if len(roles) < 3 else f"{len(roles)} documents"
    said = f"by {who} waits for others to sign {files}; a holder runs 'longshore keys sign {name[:SHORT]}'"
    return Concern(WARN, f"proposal {name[:SHORT]}", said, "/releases")


def _node(node: Document, around: Around) -> Iterator[Concern]:
    name, status = name_of(node), node["status"]
    href = f"/nodes/{name}"
    yield from _books(name, around, away=status["phase"] != "Online")
    if status["phase"] not in ("Online", "ByFile"):
        yield Concern(BAD, name, _without(name, condition(node, "Ready")["message"]), href)
        return
    converged = condition(node, "Converged")
    if converged["status"] != "True":
        level = BAD if converged["reason"] == "Failed" else WARN
        yield Concern(level, name, _without(name, converged["message"]), href)
    for problem in pressing(status["problems"]):
        yield Concern(WARN, name, problem["message"], href)
    yield from _disk(name, around, told="disk" in " ".join(each["code"] for each in status["problems"]))
    if any(each.node == name for each in around.lost):
        yield Concern(WARN, name, boxes.losses(name, around).partition(" (")[0], href)
    yield from _wanted(name, node["spec"], href)


def _books(name: str, around: Around, *, away: bool) -> Iterator[Concern]:
    """What of its telemetry is nowhere or waits too long, and whether it is two."""
    if around.books is None:
        return
    for conflict in around.books.conflicts:
        if conflict.node == name:
            yield Concern(BAD, name, conflict.sentence, f"/nodes/{name}")
    kept = around.books.open.get(name)
    if kept is None:
        return
    if kept.total.unaccounted:
        lost = f"{figures.plural(kept.total.unaccounted, 'record', 'records')} that it accepted are nowhere"
        yield Concern(BAD, name, f"{lost}; 'longshore verify telemetry {name}' says which", "/gaps")
    if not away and waits_long(kept.total, around.now_ms):
        when = figures.ago((around.now_ms - kept.total.oldest_ms) / 1000)
        waits = f"{figures.plural(kept.total.waiting, 'record waits', 'records wait')}, the oldest accepted {when}"
        yield Concern(WARN, name, f"telemetry is late: {waits}", f"/nodes/{name}")


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


def _camera(camera: Document, answering: Sequence[Answering]) -> Iterator[Concern]:
    name, status = name_of(camera), camera["status"]
    href = f"/cameras/{name}"
    ready = condition(camera, "Ready")
    if ready["status"] != "True":
        if status["state"] != "paused":
            yield Concern(BAD if status["state"] == "unknown" else WARN, name, _without(name, ready["message"]), href)
    else:
        yield from (Concern(WARN, name, each.trouble, href) for each in answering if each.trouble)
    if status["refusedSpec"]:
        yield Concern(
            WARN, name, f"keeps its last good settings, the newest were refused: {status['refusedSpec']}", href
        )


def _deployment(item: Document) -> Iterator[Concern]:
    """Those of its boxes speak for themselves; these have none."""
    converged = condition(item, "Converged")
    if converged["reason"] in ("ReleaseMissing", "NoBoxSelected"):
        yield Concern(BAD, name_of(item), converged["message"], f"/deployments/{name_of(item)}")
    for each in item["status"]["conditions"]:
        if each["type"] in NOTES and each["status"] != "True":
            yield Concern(NOTE, name_of(item), each["message"], f"/deployments/{name_of(item)}")


def _without(name: str, message: str) -> str:
    """The subject stands before the sentence already."""
    return message.removeprefix(f"{name} ")
