"""What a box should run, from the objects of the fleet."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet.desired import Broker, DesiredShadow, DesiredState, desired_state, selects
from controlplane.fleet.generations import next_generation
from controlplane.fleet.objects import CLOUD, EDGE, Camera, Deployment, Fleet, Meta, Node
from controlplane.fleet.reports import Inventory, Report, TrustReport
from controlplane.fleet.selectors import parse
from controlplane.fleet.specs import CameraSpec, DeploymentSpec, NodeSpec, OffloadSpec, ShadowSpec
from controlplane.fleet.terms import Terms
from protos.ids import CameraName, DeploymentName, Digest, ModelName, NodeId, Version
from protos.manifest import AGENT_MODEL

BROKER = Broker("broker", 8883, tls=True)
RELEASES = {(ModelName("harbour"), Version("1.0.0")): Digest("sha256:" + "1" * 64)}


def meta(**labels: str) -> Meta:
    return Meta(uid="u", created_unix_ms=1, labels=labels)


def node(name: str, role: str = EDGE, *, url: str = "", **labels: str) -> Node:
    report = Report(inventory=Inventory(inference_grpc_url=url))
    return Node(NodeId(name), meta(**labels), role, NodeSpec(), online=True, report=report)


def camera(name: str, on: str, **labels: str) -> Camera:
    return Camera(CameraName(name), meta(**labels), CameraSpec(NodeId(on), f"synthetic://{name}"))


def deployment(name: str = "watch", nodes: str = "", cameras: str = "", cloud: str = "", **spec: object) -> Deployment:
    wanted = DeploymentSpec(ModelName("harbour"), Version("1.0.0"), parse(nodes), parse(cameras), parse(cloud))
    return Deployment(DeploymentName(name), meta(), replace(wanted, **spec))  # type: ignore[arg-type]  # spec is checked at run time


def desired(of: Node, *others: Node | Camera | Deployment) -> DesiredState:
    nodes = (of, *(item for item in others if isinstance(item, Node)))
    cameras = tuple(item for item in others if isinstance(item, Camera))
    deployments = tuple(item for item in others if isinstance(item, Deployment))
    return desired_state(of, Fleet(nodes, cameras, deployments, RELEASES), BROKER, 15)


def test_a_box_with_nothing_to_do_is_told_so() -> None:
    state = desired(node("quay-1", site="quay"))
    assert state == DesiredState(broker=BROKER, sync_interval_seconds=15, labels=(("role", "edge"), ("site", "quay")))


def test_a_box_gets_its_own_cameras_and_no_others() -> None:
    state = desired(node("quay-1"), camera("gate", "quay-1"), camera("berth", "quay-2"))
    assert [item.name for item in state.cameras] == ["gate"]


def test_a_deployment_takes_the_cameras_that_both_selectors_match() -> None:
    cameras = (camera("gate", "quay-1", view="gate"), camera("berth", "quay-1", view="berth"))
    state = desired(node("quay-1", site="quay"), *cameras, deployment(nodes="site=quay", cameras="view=gate"))
    assert [item.cameras for item in state.deployments] == [("gate",)]
    assert desired(node("yard-1", site="yard"), *cameras, deployment(nodes="site=quay")).deployments == ()


def test_a_selected_box_without_a_matching_camera_still_loads_the_release() -> None:
    state = desired(node("quay-1"), camera("gate", "quay-1"), deployment(cameras="view=berth"))
    assert [(item.name, item.cameras) for item in state.deployments] == [("watch", ())]


def test_two_deployments_may_share_a_camera() -> None:
    state = desired(node("quay-1"), camera("gate", "quay-1"), deployment("one"), deployment("two"))
    assert [(item.name, item.cameras) for item in state.deployments] == [("one", ("gate",)), ("two", ("gate",))]


def test_a_cloud_node_gets_deployments_by_cloud_selector_and_no_cameras() -> None:
    cloud = node("cloud-1", CLOUD, tier="big")
    cameras = (camera("gate", "cloud-1"), camera("berth", "quay-1"))
    state = desired(cloud, *cameras, deployment("one", cloud="tier=big"), deployment("two", cloud="tier=small"))
    assert [(item.name, item.cameras) for item in state.deployments] == [("one", ())]
    assert state.cameras == ()
    assert state.cloud == ()


def test_the_role_of_a_node_is_a_label_that_nobody_can_forge() -> None:
    edge = node("quay-1", role="edge")
    pretender = replace(edge, meta=meta(role="cloud"))
    assert desired(pretender, deployment(nodes="role=cloud")).deployments == ()
    assert len(desired(pretender, deployment(nodes="role=edge")).deployments) == 1


def test_a_box_hears_of_online_cloud_nodes_that_serve_its_deployments() -> None:
    clouds = [
        node("cloud-1", CLOUD, url="grpcs://cloud-1:8001", tier="big"),
        node("cloud-2", CLOUD, url="grpcs://cloud-2:8001", tier="small"),
        replace(node("cloud-3", CLOUD, url="grpcs://cloud-3:8001", tier="big"), online=False),
        node("cloud-4", CLOUD, url="", tier="big"),
    ]
    state = desired(node("quay-1"), *clouds, deployment(cloud="tier=big"))
    assert [(item.node_id, item.url) for item in state.cloud] == [("cloud-1", "grpcs://cloud-1:8001")]


def test_without_offload_a_box_hears_of_no_cloud_node() -> None:
    cloud = node("cloud-1", CLOUD, url="grpcs://cloud-1:8001")
    assert desired(node("quay-1"), cloud, deployment(offload=OffloadSpec(enabled=False))).cloud == ()


def test_a_deployment_without_its_release_is_left_out() -> None:
    assert desired(node("quay-1"), deployment(version=Version("2.0.0"))).deployments == ()


def test_switches_reach_the_box() -> None:
    state = desired(replace(node("quay-1"), spec=NodeSpec(paused=True, slow_down_ms=300)))
    assert (state.paused, state.slow_down_ms) == (True, 300)


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_objects_changes_nothing(names: list[str]) -> None:
    clouds = [node(name, CLOUD, url=f"grpc://{name}") for name in names]
    others = [camera(name, "quay-1") for name in names], [deployment(name) for name in names]
    plain = sorted(names)
    ordered = [node(name, CLOUD, url=f"grpc://{name}") for name in plain]
    expected = desired(
        node("quay-1"), *ordered, *(camera(name, "quay-1") for name in plain), *(deployment(name) for name in plain)
    )
    assert desired(node("quay-1"), *clouds, *others[0], *others[1]).fingerprint() == expected.fingerprint()


def test_a_fingerprint_changes_with_anything_a_box_acts_on() -> None:
    gate, watch = camera("gate", "quay-1"), deployment()
    moved = replace(gate, spec=CameraSpec(NodeId("quay-1"), "synthetic://other"))
    states = [
        desired(node("quay-1"), gate, watch),
        desired(node("quay-1", site="quay"), gate, watch),
        desired(replace(node("quay-1"), spec=NodeSpec(slow_down_ms=1)), gate, watch),
        desired(node("quay-1"), moved, watch),
        desired(node("quay-1"), gate, deployment(deadline_ms=100)),
        desired(node("quay-1"), gate, watch, node("cloud-1", CLOUD, url="grpc://c")),
    ]
    assert len({state.fingerprint() for state in states}) == len(states)


def test_a_shadow_is_told_by_its_digest_and_not_at_all_where_the_registry_lost_it() -> None:
    there = deployment(shadow=ShadowSpec((ModelName("harbour"), Version("1.0.0")), 0.25))
    lost = deployment(shadow=ShadowSpec((ModelName("harbour"), Version("0.0.9")), 0.25))
    told = [desired(node("quay-1"), each).deployments[0] for each in (there, lost, deployment())]
    assert [each.shadow for each in told] == [DesiredShadow(told[0].digest, 0.25), None, None]
    assert desired(node("quay-1"), there).fingerprint() != desired(node("quay-1"), deployment()).fingerprint()


def test_credentials_do_not_show_in_the_text_of_a_desired_state() -> None:
    secret = replace(camera("gate", "quay-1"), spec=CameraSpec(NodeId("quay-1"), "rtsp://u:hunter2@cam/"))
    state = desired(node("quay-1"), secret)
    assert state.cameras[0].source == "rtsp://u:hunter2@cam/"
    assert "hunter2" not in repr(state) + repr(secret)


def test_a_generation_grows_only_when_the_state_does() -> None:
    told = replace(node("quay-1"), desired_generation=7, desired_fingerprint="a")
    assert next_generation(told, "a") == 7
    assert next_generation(told, "b") == 8


def test_a_restored_control_plane_never_reuses_a_number_the_box_has_seen() -> None:
    told = replace(node("quay-1"), desired_generation=7, desired_fingerprint="a", report=Report(observed_generation=12))
    assert next_generation(told, "a") == 13
    assert next_generation(told, "b") == 13


def test_a_box_cannot_exhaust_the_numbers() -> None:
    told = replace(node("quay-1"), desired_generation=7, desired_fingerprint="a", report=Report((1 << 63) - 1))
    assert next_generation(told, "b") == 8


def test_a_box_is_chosen_by_its_name_unless_its_label_says_otherwise() -> None:
    chosen = deployment(nodes="node=quay-1")
    assert selects(chosen, node("quay-1"))
    assert not selects(chosen, node("quay-2"))
    assert not selects(chosen, node("quay-1", node="other"))


def test_a_release_of_the_agent_looks_at_no_camera() -> None:
    of_agent = deployment("agents", model=AGENT_MODEL, version=Version("0.3.1"))
    known = {**RELEASES, (AGENT_MODEL, Version("0.3.1")): Digest("sha256:" + "2" * 64)}
    here = node("quay-1")
    state = desired_state(here, Fleet((here,), (camera("north", "quay-1"),), (of_agent,), known), BROKER, 15)
    assert [each.cameras for each in state.deployments] == [()]


def test_a_box_that_knows_no_terms_is_not_asked_to_offload_what_stays() -> None:
    """An agent of before 0.2 would send it up. It is told by what it does know."""
    old = node("quay-1")
    new = replace(old, report=replace(old.report, trust=TrustReport(1, 1, 0, 0)))
    gate, cloud = camera("gate", "quay-1"), node("cloud-1", CLOUD, url="grpc://cloud-1:8001")

    def offloads(box: Node, terms: Terms) -> bool:
        (told,) = desired(box, gate, cloud, deployment(terms=terms)).deployments
        return told.offload.enabled

    kept, another = Terms(stays=(CameraName("gate"),)), Terms(stays=(CameraName("berth"),))
    assert [offloads(box, kept) for box in (old, new)] == [False, True]
    assert [offloads(box, another) for box in (old, new)] == [True, True]
    assert [offloads(box, Terms(all_stay=True)) for box in (old, new)] == [False, False]


def test_a_box_of_which_all_cameras_stay_hears_of_no_cloud_node() -> None:
    cloud = node("cloud-1", CLOUD, url="grpc://cloud-1:8001")
    assert desired(node("quay-1"), cloud, deployment(terms=Terms(all_stay=True))).cloud == ()
    assert len(desired(node("quay-1"), cloud, deployment()).cloud) == 1
