"""From a line as an operator draws it to the crossing as REST and applications tell it: each side's own code between.

A box of the fleet gets its desired state as bytes, its frames end as boxes of a walk, and what it puts into its outbox
is stored by the control plane.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.berths_disk import DiskBerths
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.config import AgentConfig
from agent.identity.store import Identity, Membership
from agent.node import Disk, Node
from agent.telemetry import records
from agent.telemetry.outbox import Lane
from agent.types import Tap
from controlplane.fleet import wire as fleet_wire
from controlplane.ingest import wire as ingest_wire
from controlplane.ingest.service import IngestService
from controlplane.insights import schemas
from controlplane.insights.matching import Wanted
from controlplane.insights.service import InsightsService
from protos.fleet_pb2 import DesiredState
from protos.ids import CameraName, DeploymentName, NodeId
from tests.sim.authority import SimAuthority
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet, sqlite
from tests.sim.telemetry import finished
from tests.sim.walking import Walker, straight

QUAY, TAP = NodeId("quay-1"), Tap(CameraName("gate"), DeploymentName("watch"))
MEMBER = Membership(QUAY, "https://127.0.0.1:8443", "127.0.0.1:8444")
HERE = Identity(MEMBER, b"", SimAuthority(time.time()).pem, b"")
SPEC = {
    "node": "quay-1",
    "source": "synthetic://harbour",
    "zones": [{"name": "yard", "points": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "dwellSeconds": 4}],
    "lines": [{"name": "door", "points": [[0.5, 0.95], [0.5, 0.3]]}],
}


@dataclass
class Listener:
    """A broker of the box with one application at it."""

    heard: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, _camera: CameraName, payload: bytes) -> bool:
        self.heard.append(json.loads(payload))
        return True


@pytest.fixture
def fleet(tmp_path: Path, clock: FakeClock) -> Iterator[SimFleet]:
    database = sqlite(tmp_path)
    made = SimFleet(database, clock)
    made.push()
    made.deploy(detectionsPerSecond=1)
    yield made
    database.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    state, outbox = SqliteState(tmp_path / "state.db"), SqliteOutbox(tmp_path / "outbox.db", 1 << 20)
    await outbox.start()
    identity, berths = IdentityDirectory(tmp_path, X509Keys()), DiskBerths(tmp_path, "")
    disk = Disk(state, outbox, DiskReleaseStore(tmp_path), identity, berths)
    yield Node(AgentConfig(state_dir=tmp_path), disk, HERE)
    await outbox.close()
    state.close()


def desired(fleet: SimFleet, spec: dict[str, Any]) -> DesiredState:
    """Of the box, as it travels."""
    fleet.service.apply_camera("gate", {"spec": spec})
    told = fleet_wire.answer(fleet.join("quay-1").sync())
    return DesiredState.FromString(told.desired.SerializeToString())


async def stored(fleet: SimFleet, node: Node) -> list[dict[str, Any]]:
    """What the control plane tells of all that the box has put into its outbox, oldest first."""
    await node._disk.outbox.settle()
    taken = await node._disk.outbox.take(Lane.LIVE, 10_000, 1 << 24)
    batch = ingest_wire.batch(QUAY, records.batch(taken.epoch, taken.rows), fleet.now_ms)
    assert batch.refused == ()
    IngestService(fleet.database, fleet.clock).store([batch])
    page = InsightsService(fleet.database, fleet.clock).detections(Wanted(0, 1 << 62), 1_000)
    items = [schemas.detection(each.row, each.boxes).model_dump(by_alias=True) for each in page.items]
    return sorted(items, key=lambda item: item["frameSeq"])


async def test_what_a_thing_does_at_lines_and_in_zones_is_told_to_applications_and_stored(
    fleet: SimFleet, node: Node
) -> None:
    node._local_events = listener = Listener()  # type: ignore[assignment]  # all that is asked of it
    node._wish(desired(fleet, SPEC))
    walker = Walker(straight((0.2, 0.7), (0.1, 0)))
    for number in range(1, 61):
        box = walker.box(number / 10)
        node._finished(finished(number, tap=TAP, at=1_000.05 + number / 10, boxes=(box,)))
    items = await stored(fleet, node)
    told = [each for item in items for each in item["happened"]]
    assert [(each["what"], each["line"] or each["zone"]) for each in told] == [
        ("entered", "yard"),
        ("crossed", "door"),
        ("dwelt", "yard"),
    ]
    assert told[1]["direction"] == "left-to-right"
    assert {each["track"] for each in told} == {1}
    assert {box["track"] for item in items for box in item["boxes"]} == {None, 1}
    assert [(each["frameSeq"], each["happened"]) for each in listener.heard] == [
        (each["frameSeq"], each["happened"]) for each in items
    ]
    counted = 'longshore_line_crossings_total{camera="gate",deployment="watch",direction="left-to-right",line="door"}'
    assert f"{counted} 1.0" in node.metrics.render().decode()


async def test_a_line_that_is_taken_away_is_crossed_no_more_and_its_camera_leaves_nothing(
    fleet: SimFleet, node: Node
) -> None:
    node._wish(desired(fleet, SPEC))
    assert [zone.name for zone in node._drawn(TAP.camera)] == ["yard", "door"]
    node._wish(desired(fleet, {**SPEC, "lines": [], "zones": []}))
    assert node._drawn(TAP.camera) == ()
    walker = Walker(straight((0.2, 0.7), (0.1, 0)))
    for number in range(1, 61):
        node._finished(finished(number, tap=TAP, at=1_000.05 + number / 10, boxes=(walker.box(number / 10),)))
    assert [each for item in await stored(fleet, node) for each in item["happened"]] == []
    assert len(node._following) == 1
    fleet.service.delete_camera("gate")
    gone = fleet_wire.answer(fleet.join("quay-1").sync()).desired
    node._wish(gone)
    assert len(node._following) == 0
