"""A fleet of hundreds of boxes, two cameras each, that exists only as what it says; for pages that must stay quick."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from agent.telemetry.counts import OpenLatencies
from controlplane.container import Services
from controlplane.fleet.reports import CameraReport, DeploymentReport, Inventory, Report
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.ingest.domain import Batch, Kind, Row
from protos.ids import NodeId
from protos.outcomes import Outcome, Stage
from tests.sim import registry_data
from tests.sim.fleet_data import DEPLOYMENT, DIGEST, LOCAL_STAGES, RATE, WINDOW_MS, spend
from tests.sim.rows import row

CAMERAS_EACH = 2
AT_ONCE = 500  # batches of one transaction
INVENTORY = Inventory("0.2.0", "Debian GNU/Linux 12", 4, 8 << 30, 200 << 30, ("CPUExecutionProvider",))


@dataclass
class LargeFleet:
    services: Services
    boxes: int = 200
    _seqs: Counter[str] = field(default_factory=Counter)  # by box

    def __post_init__(self) -> None:
        self._chance = random.Random(1)

    @property
    def names(self) -> list[str]:
        return [f"quay-{number:03d}" for number in range(self.boxes)]

    def cameras(self, box: str) -> list[str]:
        return [f"{box}-cam-{number}" for number in range(CAMERAS_EACH)]

    def join(self) -> None:
        with self.services.database.begin() as session:
            identity = IdentityRepository(session)
            for number, name in enumerate(self.names):
                labels = {"site": f"site-{number % 8}", "line": "quay"}
                identity.admit_node(Admission(NodeId(name), labels, "edge", rejoin=True), self._now())
        registry_data.put(self.services, registry_data.harbour())
        self._cameras()
        spec = {"model": "harbour", "version": "1.0.0", "nodeSelector": {"matchLabels": {"line": "quay"}}}
        self.services.fleet.apply_deployment(DEPLOYMENT, {"spec": spec})

    def _cameras(self) -> None:
        """All at once: applying one settles the desired state of every box."""
        from controlplane import tables

        rows = [
            tables.Camera(
                name=camera,
                node_id=box,
                source="synthetic://harbour?seed=1",
                rate=RATE,
                zones=[],
                uid=camera,
                labels={"view": camera[-1]},
                annotations={},
                generation=1,
                resource_version=1,
                created_ms=self._now(),
            )
            for box in self.names
            for camera in self.cameras(box)
        ]
        with self.services.database.begin() as session:
            session.add_all(rows)

    def report(self) -> None:
        """Every box calls in."""
        for box in self.names:
            cameras = tuple(
                CameraReport(name, "running", "", RATE, width=640, height=360) for name in self.cameras(box)
            )
            run = DeploymentReport(DEPLOYMENT, "IDLE", active_digest=DIGEST, target_digest=DIGEST)
            report = Report(0, "boot-1", INVENTORY, (run,), cameras, epoch=f"epoch-{box}")
            answer = self.services.boxes.sync(NodeId(box), report)
            self.services.boxes.sync(NodeId(box), replace(report, observed_generation=answer.generation))

    def history(self, minutes: float = 6) -> None:
        ends = range(self._now() - int(minutes * 60_000), self._now() + 1, WINDOW_MS)
        made = (batch for end_ms in ends for batch in self.windows(end_ms))
        while chunk := [batch for batch, _ in zip(made, range(AT_ONCE), strict=False)]:
            self.services.ingest.store(chunk)

    def tick(self) -> None:
        """What all of them say in two seconds."""
        self.services.ingest.store(list(self.windows(self._now())))

    def windows(self, end_ms: int) -> Iterator[Batch]:
        for box in self.names:
            rows = (self._stats(box, end_ms), *(self._outcomes(box, camera, end_ms) for camera in self.cameras(box)))
            yield Batch(NodeId(box), f"epoch-{box}", rows)

    def _outcomes(self, box: str, camera: str, end_ms: int) -> Row:
        due, late = round(RATE * WINDOW_MS / 1000), self._chance.random() < 0.1
        latencies, stages = OpenLatencies(), dict.fromkeys(Stage, 0.0)
        for _ in range(due - late):
            seconds = self._chance.lognormvariate(-3.4, 0.22)
            latencies.add(seconds)
            spend(stages, LOCAL_STAGES, seconds)
        counts = {Outcome.OK_LOCAL.value: due - late, **({Outcome.EXPIRED.value: 1} if late else {})}
        values = {"camera": camera, "deployment": DEPLOYMENT, "at_ms": end_ms, "start_ms": end_ms - WINDOW_MS}
        told = {"end_ms": end_ms, "frames_due": due, "counts": counts, "uplink_bytes": 0}
        spent = {stage.value: seconds for stage, seconds in stages.items() if seconds}
        ways = {"box": asdict(latencies), "cloud": asdict(OpenLatencies()), "stages": spent}
        return row(Kind.OUTCOMES, self._number(box), {**values, **told, **ways})

    def _stats(self, box: str, end_ms: int) -> Row:
        values = {"at_ms": end_ms, "cpu_cores_used": 0.9, "memory_bytes": 236 << 20, "disk_free_bytes": 200 << 30}
        return row(Kind.NODE, self._number(box), {**values, "outbox_waiting": 1, "outbox_dropped": 0})

    def _number(self, box: str) -> int:
        self._seqs[box] += 1
        return self._seqs[box]

    def _now(self) -> int:
        return int(self.services.clock.unix() * 1000)
