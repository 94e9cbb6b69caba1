"""One body for both databases: what the fleet's repository promises holds on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from controlplane import tables
from controlplane.db import Database
from controlplane.fleet import repository as repository_module
from controlplane.fleet import selectors
from controlplane.fleet.objects import Camera, Deployment, Meta, Node
from controlplane.fleet.reports import CameraReport, DeploymentReport, Inventory, Problem, Report
from controlplane.fleet.repository import FleetRepository, Told
from controlplane.fleet.selectors import parse
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec, OffloadSpec
from controlplane.fleet.watching import Motion
from controlplane.fleet.zones import Zone
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from protos import pace
from protos.ids import CameraName, DeploymentName, ModelName, NodeId, Version

QUAY = NodeId("quay-1")
META = Meta(uid="u-1", created_unix_ms=5, labels={"site": "quay"}, annotations={"note": "north"})
SKY = (Zone("sky", ((0.0, 0.0), (1.0, 0.0), (0.5, 0.2))),)
GATE = Camera(
    CameraName("gate"),
    META,
    CameraSpec(QUAY, "rtsp://u:hunter2@cam/live?ü=✓", 7.5, masks=SKY, motion=Motion(gate=True, every_ms=5_000)),
)
WATCH = Deployment(
    DeploymentName("watch"),
    META,
    DeploymentSpec(
        ModelName("harbour"),
        Version("1.0.0"),
        parse("site in (quay,yard),!old"),
        parse("view=gate"),
        parse("tier"),
        120,
        OffloadSpec(enabled=False, uplink_bits_per_second=1_500_000, jpeg_quality=60),
        0.5,
        0.0,
    ),
)
REPORT = Report(
    observed_generation=4,
    boot_id="boot-1",
    inventory=Inventory("0.1.0", "Debian 12", 4, 8 << 30, 1 << 40, ("CPUExecutionProvider",), "grpcs://quay-1:8001"),
    deployments=(DeploymentReport("watch", "PULLING", "", "sha256:" + "1" * 64, "half way", (), 1, 1 << 60),),
    cameras=(CameraReport("gate", "retrying", "401 Unauthorized ✗", 0.25, 17, 640, 360, 3, "too fast"),),
    problems=(Problem("disk-full", "free some space"),),
    clock_unix_ms=99,
    epoch="epoch-1",
)


def admit(database: Database, name: str, role: str = "edge") -> None:
    with database.begin() as session:
        IdentityRepository(session).admit_node(Admission(NodeId(name), {"site": "quay"}, role, rejoin=True), 5)


def stored(database: Database, name: str = QUAY) -> Node:
    with database.read() as session:
        node = FleetRepository(session).node(name)
    assert node is not None
    return node


def test_a_node_that_joined_is_there_and_has_never_called(database: Database) -> None:
    admit(database, QUAY)
    node = stored(database)
    assert (node.role, node.meta.labels, node.spec, node.report) == ("edge", {"site": "quay"}, NodeSpec(), Report())
    assert (node.online, node.last_seen_unix_ms, node.desired_generation, node.meta.generation) == (False, 0, 0, 1)


def test_what_an_operator_writes_on_a_node_is_kept(database: Database) -> None:
    admit(database, QUAY)
    changed = replace(stored(database), spec=NodeSpec(paused=True, slow_down_ms=300), meta=replace(META, generation=2))
    with database.begin() as session:
        FleetRepository(session).put_node(changed)
    assert stored(database) == changed


def test_a_report_is_kept_whole_and_makes_the_box_online(database: Database) -> None:
    admit(database, QUAY)
    with database.begin() as session:
        FleetRepository(session).put_report(QUAY, REPORT, 1000)
    node = stored(database)
    assert (node.report, node.online, node.last_seen_unix_ms) == (REPORT, True, 1000)


def test_presence_desired_state_and_watch_are_kept_apart(database: Database) -> None:
    admit(database, QUAY)
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_presence(QUAY, online=True, heard_ms=77)
        repository.put_desired([Told(QUAY, 7, "f" * 64)])
        repository.put_watch(QUAY, 12345)
    node = stored(database)
    assert (node.online, node.desired_generation, node.desired_fingerprint) == (True, 7, "f" * 64)
    assert node.watch_until_unix_ms == 12345


def test_a_camera_survives_being_stored_with_its_credentials(database: Database) -> None:
    with database.begin() as session:
        FleetRepository(session).put_camera(GATE)
    with database.read() as session:
        repository = FleetRepository(session)
        assert repository.camera("gate") == GATE
        assert repository.cameras() == repository.cameras(QUAY) == [GATE]
        assert repository.cameras(NodeId("quay-2")) == []


def test_a_camera_may_be_bound_to_a_node_that_has_not_joined(database: Database) -> None:
    with database.begin() as session:
        FleetRepository(session).put_camera(GATE)
    with database.read() as session:
        assert FleetRepository(session).node(QUAY) is None


def test_a_deployment_survives_being_stored(database: Database) -> None:
    with database.begin() as session:
        FleetRepository(session).put_deployment(WATCH)
    with database.read() as session:
        assert FleetRepository(session).deployment("watch") == WATCH


def test_a_deployment_taken_under_other_rules_still_loads(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = replace(WATCH, spec=replace(WATCH.spec, deadline_ms=10 * pace.MAX_DEADLINE_MS, min_score=7.0))
    with database.begin() as session:
        FleetRepository(session).put_deployment(taken)
    monkeypatch.setattr(selectors, "MOST_REQUIREMENTS", 0)
    with database.read() as session:
        assert FleetRepository(session).fleet().deployments == (taken,)


def test_storing_again_replaces_and_keeps_the_moments_of_conditions(database: Database) -> None:
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_camera(GATE)
        repository.put_transitions(GATE, {"Ready": ("True", 1_795_000_000_000)})
    moved = replace(GATE, spec=CameraSpec(NodeId("quay-2"), "synthetic://x"), meta=replace(META, generation=2))
    with database.begin() as session:
        FleetRepository(session).put_camera(moved)
        assert FleetRepository(session).cameras(QUAY) == []
    with database.read() as session:
        expected = replace(moved, transitions={"Ready": ("True", 1_795_000_000_000)})
        assert FleetRepository(session).camera("gate") == expected


def test_moments_of_conditions_are_kept_for_every_kind(database: Database) -> None:
    admit(database, QUAY)
    kept = {"Converged": ("False", 17)}
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_deployment(WATCH)
        repository.put_transitions(WATCH, kept)
        node = repository.node(QUAY)
        assert node is not None
        repository.put_transitions(node, kept)
    with database.read() as session:
        deployment = FleetRepository(session).deployment("watch")
    assert deployment is not None
    assert deployment.transitions == stored(database).transitions == kept


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(database: Database) -> None:
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_camera(GATE)
        repository.put_deployment(WATCH)
    for _ in range(2):
        with database.begin() as session:
            repository = FleetRepository(session)
            repository.delete_camera(GATE.name)
            repository.delete_deployment(WATCH.name)
            assert repository.cameras() == []
            assert repository.deployments() == []


def test_a_deleted_node_is_gone_its_certificates_are_revoked_and_it_may_come_back_fresh(database: Database) -> None:
    admit(database, QUAY)
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_report(QUAY, REPORT, 1000)
        repository.put_desired([Told(QUAY, 7, "f" * 64)])
        issued = {"serial": "1", "fingerprint": "a" * 64, "public_key": "b" * 64, "created_ms": 1, "not_after_ms": 2}
        session.add(tables.Certificate(node_id=QUAY, **issued))
    with database.begin() as session:
        FleetRepository(session).delete_node(QUAY, 2000)
    with database.read() as session:
        assert FleetRepository(session).nodes() == []
        assert FleetRepository(session).node(QUAY) is None
        assert IdentityRepository(session).certificate("a" * 64) is None
    admit(database, QUAY)
    back = stored(database)
    assert (back.report, back.online, back.last_seen_unix_ms, back.desired_generation) == (Report(), False, 0, 0)


@pytest.mark.parametrize("many", [False, True])
def test_the_surroundings_of_a_box_are_itself_the_cloud_nodes_its_cameras_and_what_it_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    monkeypatch.setattr(repository_module, "MOST_NAMED", 0 if many else 100)
    for name, role in (("quay-1", "edge"), ("quay-2", "edge"), ("cloud-1", "cloud")):
        admit(database, name, role)
    other = replace(GATE, name=CameraName("berth"), spec=CameraSpec(NodeId("quay-2"), "synthetic://x"))
    with database.begin() as session:
        repository = FleetRepository(session)
        repository.put_camera(GATE)
        repository.put_camera(other)
        repository.put_deployment(WATCH)
        for name, box in (("apart", "quay-2"), ("mine", "quay-1")):
            spec = replace(WATCH.spec, node_selector=parse(f"node={box}"))
            repository.put_deployment(replace(WATCH, name=DeploymentName(name), spec=spec))
    with database.read() as session:
        repository = FleetRepository(session)
        node = repository.node(QUAY)
        assert node is not None
        around = repository.surroundings(node)
        assert [item.name for item in around.wanted[QUAY]] == ["mine", "watch"]
        assert [item.name for item in around.nodes] == ["quay-1", "cloud-1"]
        assert around.cameras == (GATE,)
        assert [item.name for item in repository.fleet().nodes] == ["cloud-1", "quay-1", "quay-2"]


def test_who_locks_a_node_waits_for_the_one_who_holds_it_and_sees_what_he_did(database: Database) -> None:
    admit(database, QUAY)
    seen: list[int] = []
    held = threading.Event()

    def second() -> None:
        held.wait(10)
        with database.begin() as session:
            repository = FleetRepository(session)
            repository.lock_nodes()
            node = repository.node(QUAY, lock=True)
            seen.append(node.desired_generation if node else -1)

    thread = threading.Thread(target=second)
    thread.start()
    with database.begin() as session:
        repository = FleetRepository(session)
        assert repository.node(QUAY, lock=True) is not None
        held.set()
        thread.join(0.05)
        assert seen == []
        repository.put_desired([Told(QUAY, 8, "f" * 64)])
    thread.join(10)
    assert seen == [8]
