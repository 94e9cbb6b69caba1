"""What the tree consists of, decided without starting anything."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from controlplane.trust.domain import EVENTS_USER, REPLICAS, replica_user
from controlplane.up import demo, plan
from controlplane.up.broker_rules import Listener, may, mosquitto_acl, mosquitto_conf
from controlplane.up.options import UpOptions
from controlplane.up.plan import Stage
from controlplane.up.restarts import LIMIT, WINDOW_SECONDS, Budget
from protos.errors import Fatal
from protos.topics import Channel, topic

LISTENER = Listener("127.0.0.1", 8883, Path("/s/ca.pem"), Path("/s/broker.pem"), Path("/s/broker.key"))
CONTROL_PLANE = "_controlplane"
ROOT = Path(__file__).parents[3]


def flags(command: tuple[str, ...]) -> dict[str, str]:
    return {part: after for part, after in itertools.pairwise(command) if part.startswith("--")}


def test_no_two_parts_of_the_demo_want_the_same_port() -> None:
    options = UpOptions(demo=True)
    ports = [use.port for use in (*options.ports(len(demo.AGENTS)), options.rtsp)]
    assert len(ports) == len(set(ports)) == 4 + 3 * 3 + 1


def test_every_port_names_the_flag_that_moves_it() -> None:
    moved = UpOptions(https_port=1, http_port=2, grpc_port=3, broker_port=4, rtsp_port=5, agents_port=6)
    assert {(use.port, use.flag) for use in (*moved.ports(1), moved.rtsp)} >= {
        (1, "--https-port"),
        (2, "--http-port"),
        (3, "--grpc-port"),
        (4, "--broker-port"),
        (5, "--rtsp-port"),
        (6, "--agents-port"),
    }


def test_a_box_asks_for_its_join_token_where_no_process_list_shows_it() -> None:
    command = plan.agent_process(demo.AGENTS[0], UpOptions()).command
    assert "--token-stdin" in command
    assert "--token" not in command


def test_agents_end_before_the_control_plane_and_the_broker_last() -> None:
    options = UpOptions()
    agent = plan.agent_process(demo.AGENTS[0], options)
    server = plan.control_plane(options, LISTENER, mqtt5=True)
    assert agent.stage < server.stage < plan.mosquitto("m", Path("c"), LISTENER).stage == Stage.BROKER


def test_a_wildcard_listener_is_dialled_on_loopback_and_advertised_by_name() -> None:
    options = UpOptions(listen="0.0.0.0", advertise="fleet.example")
    listener = Listener("0.0.0.0", 8883, LISTENER.ca, LISTENER.certificate, LISTENER.key)
    told = flags(plan.control_plane(options, listener, mqtt5=False).command)
    assert told["--broker-url"] == "mqtts://127.0.0.1:8883"
    assert told["--broker-advertise-url"] == "mqtts://fleet.example:8883"


@pytest.mark.parametrize(("listen", "dialled"), [("10.0.0.5", "10.0.0.5"), ("::", "::1"), ("fd00::5", "fd00::5")])
def test_this_machine_dials_what_it_listens_on(listen: str, dialled: str) -> None:
    options = UpOptions(listen=listen, advertise="fleet.example")
    server = plan.control_plane(options, Listener(listen, 8883, *[Path("/s/ca.pem")] * 3), mqtt5=False)
    assert server.listens == (dialled, 8443)
    assert options.local_url == f"https://{f'[{dialled}]' if ':' in dialled else dialled}:8443"
    assert options.local_url in plan.agent_process(demo.AGENTS[0], options).command


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", ""])
def test_a_wildcard_alone_is_refused_with_the_flag_that_names_this_machine(listen: str) -> None:
    with pytest.raises(Fatal, match="--advertise"):
        UpOptions(listen=listen)


def test_the_cloud_node_serves_and_the_boxes_run() -> None:
    verbs = {agent.node: plan.agent_process(agent, UpOptions()).command[4] for agent in demo.AGENTS}
    assert verbs == {"north-quay": "run", "south-quay": "run", "cloud-1": "serve"}


# ---- the demo's objects ----


def test_without_an_rtsp_server_the_third_camera_plays_the_file_and_says_why() -> None:
    third = demo.cameras(Path("/c/harbour.mp4"), None)[2]
    assert third["spec"]["source"] == "file:///c/harbour.mp4"
    assert "apt-get install" in third["metadata"]["annotations"][demo.NOTE]


def test_a_camera_follows_its_rtsp_server_to_another_port() -> None:
    stored = demo.cameras(demo.CLIP, "rtsp://127.0.0.1:8554/harbour")[2]
    wanted = demo.cameras(demo.CLIP, "rtsp://127.0.0.1:9554/harbour")[2]
    changed = demo.moved(stored, wanted)
    assert changed is not None
    assert changed["spec"]["source"] == "rtsp://127.0.0.1:9554/harbour"


def test_a_camera_turns_to_rtsp_once_the_server_is_installed() -> None:
    changed = demo.moved(demo.cameras(demo.CLIP, None)[2], demo.cameras(demo.CLIP, "rtsp://127.0.0.1:1/harbour")[2])
    assert changed is not None
    assert demo.NOTE not in changed["metadata"]["annotations"]


@pytest.mark.parametrize(
    "source", ["rtsp://gate-camera/stream", "file:///home/me/clip.mp4", "synthetic://harbour?seed=3"]
)
def test_a_camera_that_the_user_changed_stays_as_it_is(source: str) -> None:
    wanted = demo.cameras(demo.CLIP, "rtsp://127.0.0.1:8554/harbour")[2]
    stored = {**wanted, "spec": {**wanted["spec"], "source": source}}
    assert demo.moved(stored, wanted) is None


# ---- who may do what on the broker ----


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("writes", [True, False])
def test_a_box_writes_and_reads_its_own_channels_only(channel: Channel, writes: bool) -> None:
    from protos.ids import node_id

    own, other = topic(node_id("quay-1"), channel), topic(node_id("quay-2"), channel)
    allowed = writes == (channel in {Channel.TELEMETRY, Channel.PRESENCE})
    assert may("quay-1", own, writes=writes, control_plane=CONTROL_PLANE) is allowed
    assert not may("quay-1", other, writes=writes, control_plane=CONTROL_PLANE)
    assert may(CONTROL_PLANE, own, writes=writes, control_plane=CONTROL_PLANE)


@pytest.mark.parametrize(
    "filter_", ["#", "longshore/v1/#", "longshore/v1/+/ack", "$SYS/#", "", "longshore/v1/quay-1/#"]
)
def test_a_box_cannot_subscribe_by_wildcard(filter_: str) -> None:
    assert not may("quay-1", filter_, writes=False, control_plane=CONTROL_PLANE)


@pytest.mark.parametrize(
    ("user", "topic_", "writes", "allowed"),
    [
        ("quay-1", "longshore/v1/quay-1/events/gate", True, True),
        ("quay-1", "longshore/v1/quay-1/events/gate/more", True, False),
        ("quay-1", "longshore/v1/quay-2/events/gate", True, False),
        ("quay-1", "longshore/v1/quay-1/events/gate", False, False),
        (EVENTS_USER, "longshore/v1/+/events/+", False, True),
        (EVENTS_USER, "longshore/v1/quay-1/events/gate", False, True),
        (EVENTS_USER, "longshore/v1/+/presence", False, True),
        (EVENTS_USER, "longshore/v1/quay-1/events/gate", True, False),
        (EVENTS_USER, "longshore/v1/quay-1/telemetry", False, False),
        (EVENTS_USER, "longshore/v1/#", False, False),
        (EVENTS_USER, "longshore/v1/+/+", False, False),
        (EVENTS_USER, "+/+/+/events/+", False, False),
    ],
)
def test_boxes_tell_events_and_applications_hear_them_and_nothing_else(
    user: str, topic_: str, *, writes: bool, allowed: bool
) -> None:
    assert may(user, topic_, writes=writes, control_plane=CONTROL_PLANE) is allowed


def test_each_replica_of_the_control_plane_has_a_name_of_its_own_with_the_same_rights() -> None:
    acl = mosquitto_acl(CONTROL_PLANE).splitlines()
    for number in range(1, REPLICAS + 1):
        user = replica_user(CONTROL_PLANE, number)
        assert may(user, "longshore/v1/quay-1/ack", writes=True, control_plane=CONTROL_PLANE)
        assert acl[acl.index(f"user {user}") + 1] == "topic readwrite longshore/v1/#"
    for stranger in (f"{CONTROL_PLANE}-{REPLICAS + 1}", f"{CONTROL_PLANE}-1", f"{CONTROL_PLANE}-"):
        assert not may(stranger, "longshore/v1/quay-1/ack", writes=True, control_plane=CONTROL_PLANE)
        assert f"user {stranger}" not in acl


def test_mosquitto_demands_certificates_and_names_clients_by_them() -> None:
    conf = mosquitto_conf(LISTENER, Path("/s/acl"), as_root=False).splitlines()
    assert {"require_certificate true", "use_username_as_clientid true", "allow_anonymous false"} <= set(conf)
    assert "pattern write longshore/v1/%u/telemetry" in mosquitto_acl(CONTROL_PLANE)
    assert "pattern read longshore/v1/%u/telemetry" not in mosquitto_acl(CONTROL_PLANE)


# ---- restarts ----


def test_the_first_start_again_is_immediate_and_the_budget_ends() -> None:
    budget = Budget()
    delays = [budget.spend(float(second)) for second in range(LIMIT + 1)]
    assert delays[0] == 0.0
    assert delays[1:LIMIT] == sorted(delay for delay in delays[1:LIMIT] if delay)
    assert delays[LIMIT] is None


def test_old_deaths_are_forgiven() -> None:
    budget = Budget()
    for _ in range(LIMIT):
        budget.spend(0.0)
    assert budget.spend(WINDOW_SECONDS + 1) == 0.0


def test_what_the_docs_kill_again_and_again_is_started_again_each_time() -> None:
    said = re.search(r"for n in .*; sleep (\d+); done", (ROOT / "docs/telemetry.md").read_text())
    assert said is not None
    budget = Budget()
    assert None not in [budget.spend(n * float(said[1])) for n in range(20)]
