"""deploy/k3s: what a cluster would be given. Fields by Kubernetes' own schemas, rights by the restricted standard, and
names, ports and flags by the programs that the Pods start.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from agent.config import AgentConfig
from agent.main import cli
from controlplane.config import Config, load
from controlplane.trust.domain import CONTROL_PLANE_USER
from controlplane.up.broker_rules import Listener, mosquitto_acl, mosquitto_conf
from tests.sim.kustomize import Document, rendered
from tests.sim.pod_security import breaches, containers

K3S = Path(__file__).parents[3] / "deploy" / "k3s"
OVERLAYS = ("base", "overlays/single-node", "overlays/cloud", "overlays/edge")
KUBERNETES = ("1.30", "1.33", "1.36")
TLS = Path("/mosquitto/tls")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """By overlay."""
    return {name: rendered(K3S / name, tmp_path_factory.mktemp("k3s")) for name in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, objects: dict[str, list[Document]]) -> list[Document]:
    return objects[request.param]


def pods(documents: list[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents:
        if "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def named(documents: list[Document], kind: str, name: str) -> Document:
    return next(one for one in documents if one["kind"] == kind and one["metadata"]["name"].startswith(name))


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_as_that_kubernetes_wants_it_and_no_field_is_unknown(
    overlay: list[Document], version: str
) -> None:
    for document in overlay:
        kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_or_kind_is_seen(overlay: list[Document]) -> None:
    wrong = copy.deepcopy(overlay[0])
    wrong["metadata"]["lables"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="lables"):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(overlay[0] | {"kind": "Fleet"}, KUBERNETES[0], strict=True)


def test_the_namespace_admits_restricted_pods_only_and_every_pod_is_one(overlay: list[Document]) -> None:
    labels = named(overlay, "Namespace", "longshore")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {name: breaches(pod) for name, pod in pods(overlay)} == {name: [] for name, _ in pods(overlay)}


def _in_container(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda pod: change(pod["containers"][0]["securityContext"])


PLANTED: dict[str, Callable[[dict[str, Any]], object]] = {
    "hostNetwork": lambda pod: pod.update(hostNetwork=True),
    "hostPID": lambda pod: pod.update(hostPID=True),
    "hostIPC": lambda pod: pod.update(hostIPC=True),
    "sysctls": lambda pod: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "volumes[disk]": lambda pod: pod["volumes"].append({"name": "disk", "hostPath": {"path": "/"}}),
    "runAsNonRoot": lambda pod: pod["securityContext"].pop("runAsNonRoot"),
    "runAsUser": lambda pod: pod["securityContext"].update(runAsUser=0),
    "seccompProfile": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "hostPort": lambda pod: pod["containers"][0]["ports"][0].update(hostPort=8000),
    "privileged": _in_container(lambda context: context.update(privileged=True)),
    "allowPrivilegeEscalation": _in_container(lambda context: context.pop("allowPrivilegeEscalation")),
    "procMount": _in_container(lambda context: context.update(procMount="Unmasked")),
    "capabilities.drop": _in_container(lambda context: context.pop("capabilities")),
    "capabilities.add": _in_container(lambda context: context["capabilities"].update(add=["NET_ADMIN"])),
}


@pytest.mark.parametrize("rule", PLANTED)
def test_a_breach_of_each_rule_of_the_standard_is_seen(rule: str, objects: dict[str, list[Document]]) -> None:
    pod = copy.deepcopy(dict(pods(objects["base"]))["longshore-agent"])
    PLANTED[rule](pod)
    assert set(breaches(pod)) == {rule}


def test_no_pod_gets_a_token_of_the_cluster_or_variables_of_its_services(overlay: list[Document]) -> None:
    """A Service called longshore-agent would set LONGSHORE_AGENT_PORT, which is ours."""
    for _, pod in pods(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_every_container_is_bounded_and_watched(overlay: list[Document]) -> None:
    for _, pod in pods(overlay):
        for container in containers(pod):
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        for container in pod["containers"]:
            assert {"livenessProbe"} <= set(container)


def test_agents_are_started_with_flags_that_they_have(overlay: list[Document]) -> None:
    for _, pod in pods(overlay):
        for container in pod["containers"]:
            if container["command"][0] == "longshore-agent":
                verb = cli.commands[container["command"][1]]
                known = {option for parameter in verb.params for option in parameter.opts}
                assert {argument.partition("=")[0] for argument in container["args"]} <= known


def test_the_control_plane_gets_settings_that_it_has_and_accepts(objects: dict[str, list[Document]]) -> None:
    for name in ("base", "overlays/single-node", "overlays/cloud"):
        settings = named(objects[name], "ConfigMap", "longshore-control-plane")["data"]
        known = {f"LONGSHORE_{field.name.upper()}" for field in fields(Config)}
        assert set(settings) <= known
        assert load(settings).http_port == 0


def test_doors_are_where_the_programs_listen(objects: dict[str, list[Document]]) -> None:
    agent, plane = AgentConfig(), Config(state=Path("/"))
    expected = {
        "longshore-agent": {agent.http_port, agent.grpc_port, agent.metrics_port},
        "longshore-cloud-node": {agent.http_port, agent.grpc_port, agent.metrics_port},
        "longshore-control-plane": {plane.https_port, plane.grpc_port},
        "longshore-broker": {8883},
    }
    for name, pod in pods(objects["base"]):
        assert {port["containerPort"] for port in pod["containers"][0]["ports"]} == expected[name]
        assert {port["port"] for port in named(objects["base"], "Service", name)["spec"]["ports"]} == expected[name]


def test_the_broker_has_the_rules_of_every_other_broker_of_ours() -> None:
    folder = K3S / "base" / "broker"
    listener = Listener("0.0.0.0", 8883, TLS / "ca.pem", TLS / "broker.pem", TLS / "broker.key")
    rules = Path("/mosquitto/rules/mosquitto.acl")
    assert (folder / "mosquitto.conf").read_text() == mosquitto_conf(listener, rules, as_root=False)
    assert (folder / "mosquitto.acl").read_text() == mosquitto_acl(CONTROL_PLANE_USER)


def test_nothing_may_be_reached_that_is_not_listed(overlay: list[Document]) -> None:
    deny = named(overlay, "NetworkPolicy", "default-deny")["spec"]
    assert (deny["podSelector"], sorted(deny["policyTypes"])) == ({}, ["Egress", "Ingress"])
    guarded = {
        document["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for document in overlay
        if document["kind"] == "NetworkPolicy" and "ingress" in document["spec"]
    }
    assert {name for name, _ in pods(overlay)} <= guarded


def test_the_images_are_of_this_version(objects: dict[str, list[Document]]) -> None:
    version = re.search(r'^version = "(.+)"$', (K3S.parents[1] / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    ours = {container["image"] for _, pod in pods(objects["base"]) for container in containers(pod)}
    assert {f"longshore/agent:{version[1]}", f"longshore/control-plane:{version[1]}"} <= ours
    assert not any(image.endswith(":latest") or ":" not in image for image in ours)


def test_a_secret_is_named_and_never_held(overlay: list[Document]) -> None:
    assert not [document for document in overlay if document["kind"] == "Secret"]
