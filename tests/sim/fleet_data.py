"""A fleet that exists only as what it says: reports, telemetry and pictures of a small harbour, played into services.

`HarbourFleet.tick` says what two seconds of such a fleet say; a seed decides all chance. The pictures are the drawn
harbour with its truth as boxes. `slowed` follows the Node's spec: a slowed box sends most of its frames to the cloud.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agent.cameras.harbour_scene.scene import HarbourScene
from agent.telemetry.counts import OpenLatencies
from controlplane.container import Services
from controlplane.errors import Forbidden
from controlplane.fleet.looking import Picture
from controlplane.fleet.reports import (
    CallCost,
    CameraReport,
    DecisionReport,
    DeploymentReport,
    Inventory,
    Problem,
    Report,
    ShadowReport,
)
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.ingest.domain import Batch, Kind, Row
from protos.decided import Decided
from protos.ids import CameraName, NodeId, digest_of
from protos.outcomes import Outcome, Stage
from tests.sim import registry_data
from tests.sim.drawn import annotated
from tests.sim.rows import row

DIGEST = registry_data.harbour().digest
OLD_DIGEST = digest_of(b"harbour 0.9.0")
DEPLOYMENT = "harbour-watch"
WINDOW_MS = 2_000
RATE = 10.0  # frames due a second of each camera
NO_RTSP = (
    "plays the file: no RTSP server on this machine; for a real stream, as root: apt-get install "
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


LOCAL_STAGES = {Stage.DECODE: 0.12, Stage.WAIT: 0.16, Stage.INFER: 0.66, Stage.ANSWER: 0.06}  # shares of the time
CLOUD_STAGES = {Stage.DECODE: 0.05, Stage.WAIT: 0.03, Stage.ENCODE: 0.07, Stage.CLOUD: 0.85}


def spend(stages: dict[Stage, float], shares: Mapping[Stage, float], seconds: float) -> None:
    for stage, share in shares.items():
        stages[stage] += share * seconds


@dataclass(frozen=True)
class SimCamera:
    name: str
    node: str
    source: str
    seed: int
    note: str = ""


CAMERAS = (
    SimCamera("crane", "north-quay", "synthetic://harbour?seed=7", 7),
    SimCamera("gate", "south-quay", "file:///srv/harbour.mp4", 3),
    SimCamera("berth", "north-quay", "file:///srv/harbour.mp4", 11, NO_RTSP),
)
NODES = (
    ("north-quay", "edge", {"site": "harbour", "quay": "north"}),
    ("south-quay", "edge", {"site": "harbour", "quay": "south"}),
    ("cloud-1", "cloud", {"role": "cloud"}),
)


@dataclass
class HarbourFleet:
    """Made over the services of a control plane."""

    services: Services
    seed: int = 1
    runs: dict[str, str] = field(default_factory=dict)  # box -> digest of the release that answers there
    offline: set[str] = field(default_factory=set)  # boxes that say nothing any more
    broken: dict[str, str] = field(default_factory=dict)  # camera -> why it shows nothing
    problems: dict[str, tuple[Problem, ...]] = field(default_factory=dict)
    shadows: dict[str, ShadowReport] = field(default_factory=dict)  # box -> how a candidate compares there
    costs: dict[str, CallCost] = field(default_factory=dict)  # box -> what a call costs there
    decisions: dict[str, DecisionReport] = field(default_factory=dict)  # box -> how it decides
    refuses: dict[str, str] = field(default_factory=dict)  # box -> why it refused the wanted release
    late: set[str] = field(default_factory=set)  # cameras most of whose frames miss their deadline
    engineless: set[str] = field(default_factory=set)  # boxes on which no engine runs
    full: set[str] = field(default_factory=set)  # boxes whose disk has no room
    _until: dict[str, int] = field(default_factory=dict)  # camera -> end of its last window
    _seqs: Counter[str] = field(default_factory=Counter)  # by box
    _pictures: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._scenes: dict[str, HarbourScene] = {}

    def join(self) -> None:
        """Boxes, cameras, a release and its deployment, as the demo has them."""
        for name, role, labels in NODES:
            self.admit(name, role, labels)
        registry_data.put(self.services, registry_data.harbour())
        for camera in CAMERAS:
            notes = {"longshore/note": camera.note} if camera.note else {}
            metadata = {"labels": {"site": "harbour"}, "annotations": notes}
            spec = {"node": camera.node, "source": camera.source, "rate": RATE}
            self.services.fleet.apply_camera(camera.name, {"metadata": metadata, "spec": spec})
        spec = {
            "model": "harbour",
            "version": "1.0.0",
            "nodeSelector": {"matchLabels": {"site": "harbour"}},
            "cloudSelector": {"matchLabels": {"role": "cloud"}},
            "objective": {"deadline": "250ms"},
            "offload": {"enabled": True, "uplink": "8Mbit/s", "jpegQuality": 80},
        }
        self.services.fleet.apply_deployment(DEPLOYMENT, {"spec": spec})

    def admit(self, name: str, role: str, labels: Mapping[str, str]) -> None:
        with self.services.database.begin() as session:
            admission = Admission(NodeId(name), dict(labels), role, rejoin=True)
            IdentityRepository(session).admit_node(admission, self._now())

    def history(self, minutes: float = 5) -> None:
        """As if it had run for a while, one box slowed in the middle of it."""
        windows = int(minutes * 60_000 / WINDOW_MS)
        batches = []
        for index in range(windows, 0, -1):
            share = 1 - index / windows
            slowed = {"north-quay"} if 0.45 < share < 0.75 else set()
            self.engineless = {"north-quay"} if 0.65 < share < 0.75 else set()
            batches += self._windows(self._now() - index * WINDOW_MS, slowed)
        self.services.ingest.store(batches)

    def degrade(self) -> None:
        """A bad day: a cloud node away, a release refused, a camera that retries, late frames, a full disk, losses."""
        self.refuses["south-quay"] = "variant cpu-int8 gives other boxes than its card says; the one before stays"
        self.runs["south-quay"] = OLD_DIGEST
        self.broken["berth"] = "rtsp://***@10.0.0.9/live refuses us: connection refused; is the camera on?"
        self.late.add("crane")
        self.full.add("north-quay")
        room = "the disk of this box has 0.4 GiB left; free some, or new releases can't be pulled"
        self.problems["north-quay"] = (Problem("disk-full", room),)
        self.report()
        gap = {
            "record_class": "frame",
            "first_seq": 1,
            "last_seq": 900,
            "dropped": 812,
            "reason": "the outbox was full",
        }
        self.say("north-quay", Kind.GAP, gap)
        self.offline.add("cloud-1")
        self.services.boxes.presence("cloud-1", online=False, boot_id="boot-1")

    def tick(self) -> None:
        """What the fleet says in two seconds."""
        self.report()
        self.services.ingest.store(self._windows(self._now(), self._slowed()))
        self.show()

    def say(self, node: str, kind: Kind, values: Mapping[str, Any]) -> Batch:
        """One more record of a box, which happened now."""
        told = row(kind, self._number(node), {"at_ms": self._now(), **values})
        batch = Batch(NodeId(node), f"epoch{node[0]}", (told,))
        self.services.ingest.store([batch])
        return batch

    def report(self) -> None:
        """Every box that is there calls in; one that was deleted is told so, and calls no more."""
        for name, role, _ in NODES:
            if name in self.offline:
                continue
            try:
                answer = self.services.boxes.sync(NodeId(name), self._report(name, role, 0))
                self.services.boxes.sync(NodeId(name), self._report(name, role, answer.generation))
            except Forbidden:
                self.offline.add(name)

    def show(self) -> None:
        """A new picture of each camera."""
        self._pictures += 1
        for camera in CAMERAS:
            if camera.node in self.offline or camera.name in self.broken:
                continue
            scene = self._scenes[camera.name] = self._scenes.get(camera.name) or HarbourScene(camera.seed)
            drawn = annotated(scene, self._pictures * 0.4, "on the box, 31 ms")
            self.services.looking.put_picture(
                Picture(CameraName(camera.name), self._now(), drawn, Outcome.OK_LOCAL, 31.0)
            )

    def _slowed(self) -> set[str]:
        nodes = self.services.fleet.list_nodes()
        return {node["metadata"]["name"] for node in nodes if node["spec"]["slowDown"] != "0s"}

    def _report(self, name: str, role: str, generation: int) -> Report:
        cameras = tuple(self._camera_report(camera) for camera in CAMERAS if camera.node == name)
        active = self.runs.get(name, DIGEST)
        run = DeploymentReport(DEPLOYMENT, "IDLE", active_digest=active, target_digest=DIGEST, variant="fp32")
        run = replace(run, shadow=self.shadows.get(name), cost=self.costs.get(name), decision=self.decisions.get(name))
        if name in self.refuses:
            active = self.runs.get(name, "")
            run = replace(run, state="FAILED", active_digest=active, message=self.refuses[name])
        inventory = Inventory("0.1.0", "Debian GNU/Linux 12", 4, 8 << 30, 200 << 30, ("CPUExecutionProvider",))
        report = Report(boot_id="boot-1", epoch=f"epoch{name[0]}", inventory=inventory, deployments=(run,))
        return replace(report, cameras=cameras, observed_generation=generation, problems=self.problems.get(name, ()))

    def _camera_report(self, camera: SimCamera) -> CameraReport:
        if camera.name in self.broken:
            return CameraReport(camera.name, "retrying", self.broken[camera.name])
        return CameraReport(camera.name, "running", frames_per_second=RATE, width=640, height=360)

    def _windows(self, end_ms: int, slowed: set[str]) -> list[Batch]:
        batches = []
        for name, role, _ in NODES:
            rows = [self._stats(name, role, end_ms)]
            if name not in self.offline:
                rows += [
                    self._outcomes(camera, end_ms, slow=name in slowed)
                    for camera in CAMERAS
                    if camera.node == name and camera.name not in self.broken
                ]
                batches.append(Batch(NodeId(name), f"epoch{name[0]}", tuple(rows)))
        return batches

    def _outcomes(self, camera: SimCamera, end_ms: int, *, slow: bool) -> Row:
        start_ms, self._until[camera.name] = self._until.get(camera.name, end_ms - WINDOW_MS), end_ms
        due = round(RATE * (end_ms - start_ms) / 1000)
        rng, counts = self._rng, dict.fromkeys((Outcome.OK_LOCAL, Outcome.OK_CLOUD, Outcome.CLOUD_LATE), 0)
        box, cloud, stages = OpenLatencies(), OpenLatencies(), dict.fromkeys(Stage, 0.0)
        for _ in range(due):
            chance = rng.random()
            if camera.name in self.late:
                ended = Outcome.EXPIRED if chance < 0.3 else Outcome.SUPERSEDED if chance < 0.42 else Outcome.OK_LOCAL
            elif slow:
                ended = Outcome.OK_CLOUD if chance < 0.86 else Outcome.OK_LOCAL if chance < 0.95 else Outcome.CLOUD_LATE
            else:
                ended = Outcome.OK_LOCAL if chance < 0.99 else Outcome.SUPERSEDED if chance < 0.998 else Outcome.EXPIRED
            counts[ended] = counts.get(ended, 0) + 1
            if ended is Outcome.OK_LOCAL:
                usual = -1.6 if camera.name in self.late else -2.4 if slow else -3.4
                seconds = rng.lognormvariate(usual, 0.22)
                box.add(seconds)
                spend(stages, LOCAL_STAGES, seconds)
            elif ended is Outcome.OK_CLOUD:
                seconds = rng.lognormvariate(-2.35, 0.25)
                cloud.add(seconds)
                spend(stages, CLOUD_STAGES, seconds)
        values = {
            "camera": camera.name,
            "deployment": DEPLOYMENT,
            "at_ms": end_ms,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "frames_due": due,
            "counts": {outcome.value: frames for outcome, frames in counts.items() if frames},
            "box": asdict(box),
            "cloud": asdict(cloud),
            "stages": {stage.value: seconds for stage, seconds in stages.items() if seconds},
            "uplink_bytes": counts[Outcome.OK_CLOUD] * 19_000,
            **self._decided(camera, counts, slow=slow),
        }
        return row(Kind.OUTCOMES, self._number(camera.node), values)

    def _decided(self, camera: SimCamera, counts: Mapping[Outcome, int], *, slow: bool) -> dict[str, Any]:
        """Where its frames went; what that was decided against is told with the first camera of its box."""
        routes = {Decided.LOCAL: counts[Outcome.OK_LOCAL], Decided.CLOUD: 0, Decided.SHED: 0}
        for outcome, frames in counts.items():
            if outcome is not Outcome.OK_LOCAL:
                up = outcome in (Outcome.OK_CLOUD, Outcome.CLOUD_LATE)
                routes[Decided.CLOUD if up else Decided.SHED] += frames
        told: dict[str, float] = {route.value: float(frames) for route, frames in routes.items() if frames}
        there = [each.name for each in CAMERAS if each.node == camera.node and each.name not in self.broken]
        if camera.name != min(there):
            return {"decided": told}
        load = (2.3 if slow else 0.6) * self._rng.uniform(0.9, 1.1)
        told |= {Decided.LOOKS: 1.0, Decided.LOAD: load, Decided.LINKS: 1.0, Decided.LINK: self._rng.uniform(7.0, 9.0)}
        if slow:
            told |= {Decided.PRICE_BITS: self._rng.uniform(0.3, 0.5)}
        if camera.node in self.engineless:
            return {
                "decided": {**told, Decided.RUNG_CLOUD: 1.0},
                "rung_why": "No engine runs on this box: the cloud answers.",
            }
        return {"decided": {**told, Decided.RUNG_CPU: 1.0}, "rung_why": "It runs on cpu, as was asked for."}

    def _stats(self, name: str, role: str, end_ms: int) -> Row:
        cores, memory = (0.9, 236 << 20) if role == "edge" else (0.25, 148 << 20)
        values = {
            "at_ms": end_ms,
            "cpu_cores_used": cores * self._rng.uniform(0.9, 1.1),
            "memory_bytes": int(memory * self._rng.uniform(0.98, 1.02)),
            "disk_free_bytes": (400 << 20) if name in self.full else (200 << 30),
            "outbox_waiting": self._rng.randrange(4),
            "outbox_dropped": 0,
        }
        return row(Kind.NODE, self._number(name), values)

    def _number(self, box: str) -> int:
        self._seqs[box] += 1
        return self._seqs[box]

    def _now(self) -> int:
        return int(self.services.clock.unix() * 1000)
