"""Which boxes and cameras a Deployment's selectors choose. Pure, by the same rules as desired state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.fleet import desired
from controlplane.fleet.objects import EDGE, Camera, Deployment, Fleet, Meta, Node
from controlplane.fleet.specs import DeploymentSpec
from protos.ids import DeploymentName


@dataclass(frozen=True)
class Selection:
    """By name. `cameras` are those of `nodes`."""

    nodes: tuple[Node, ...]  # edge
    cloud: tuple[Node, ...]
    cameras: tuple[Camera, ...]


@dataclass(frozen=True)
class Selected:
    """Documents that a deployment chooses, by name: edge nodes, cloud nodes, cameras of the edge nodes.

    `warnings` are what somebody should know before applying it, a sentence each.
    """

    nodes: list[dict[str, Any]]
    cloud: list[dict[str, Any]]
    cameras: list[dict[str, Any]]
    warnings: list[str]


def selection(spec: DeploymentSpec, fleet: Fleet) -> Selection:
    wanted = Deployment(DeploymentName("any"), Meta("", 0), spec)
    chosen = sorted((node for node in fleet.nodes if desired.selects(wanted, node)), key=lambda node: node.name)
    edge = tuple(node for node in chosen if node.role == EDGE)
    names = {node.name for node in edge}
    cameras = [camera for camera in fleet.cameras if camera.spec.node in names]
    matching = [camera for camera in cameras if desired.sees(spec, camera)]
    cloud = tuple(node for node in chosen if node.role != EDGE)
    return Selection(edge, cloud, tuple(sorted(matching, key=lambda camera: camera.name)))
