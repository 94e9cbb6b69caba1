"""The fleet for Prometheus, from what the control plane knows of it: the metrics of the boxes themselves are on their
loopback, where no central Prometheus comes.

`families` is pure; `FleetMetrics` collects for each scrape. What was deleted has no series any more; while the database
is away, none has.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from controlplane.fleet.service import FleetService
from controlplane.insights.domain import Latencies, Sums
from controlplane.insights.totals import Totals
from controlplane.registry.service import RegistryService
from protos.errors import Retryable
from protos.outcomes import LATENCY_BOUNDS_MS

BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1000, 2500)  # as the agents' histograms have them
ON_BOX = ("node", "deployment")

log = logging.getLogger(__name__)
Document = Mapping[str, Any]
Labelled = tuple[Sequence[str], float]


@dataclass(frozen=True)
class Known:
    """All that is told, at one moment."""

    nodes: Sequence[Document]
    cameras: Sequence[Document]
    deployments: Sequence[Document]
    releases: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # digest -> model, version
    totals: Mapping[tuple[str, str], Sums] = field(default_factory=dict)  # (node, deployment) -> what was counted


class FleetMetrics:
    """A collector of prometheus_client."""

    def __init__(self, fleet: FleetService, registry: RegistryService, totals: Totals) -> None:
        self._fleet = fleet
        self._registry = registry
        self._totals = totals
        self._releases: dict[str, tuple[str, str]] = {}  # immutable, so asked for when an unknown one answers

    def collect(self) -> Iterator[Metric]:
        try:
            known = self._known()
        except Retryable as error:
            log.debug("metrics without the fleet: %s", error)
            return
        yield from families(known)

    def _known(self) -> Known:
        nodes, deployments = self._fleet.list_nodes(), self._fleet.list_deployments()
        if not self._releases.keys() >= {box["activeDigest"] for _, box in _boxes(deployments) if box["activeDigest"]}:
            self._releases = {each.digest: (each.model, each.version) for each in self._registry.releases()}
        totals = self._totals.of({_name(node) for node in nodes}, {_name(item) for item in deployments})
        return Known(nodes, self._fleet.list_cameras(), deployments, self._releases, totals)


def families(known: Known) -> Iterator[Metric]:
    yield _gauge("longshore_fleet_nodes", "Boxes.", ("role", "phase"), _counted(known.nodes, "role", "phase"))
    yield _gauge("longshore_fleet_cameras", "Cameras.", ("state",), _counted(known.cameras, "state"))
    boxes = list(_boxes(known.deployments))
    yield _gauge(
        "longshore_fleet_update_state",
        "1 for how far a box is with a deployment, and for what its update does.",
        (*ON_BOX, "step", "state"),
        [((box["node"], name, box["step"], box["state"]), 1) for name, box in boxes],
    )
    yield _gauge(
        "longshore_fleet_release_info",
        "1 for the release that answers.",
        (*ON_BOX, "model", "version", "digest"),
        [
            ((box["node"], name, *known.releases.get(digest, ("", "")), digest), 1)
            for name, box in boxes
            if (digest := box["activeDigest"])
        ],
    )
    yield from _frames(known.totals)


def _frames(totals: Mapping[tuple[str, str], Sums]) -> Iterator[Metric]:
    frames = CounterMetricFamily(
        "longshore_fleet_frames", "Frames that were due, by how they ended.", labels=(*ON_BOX, "outcome")
    )
    seconds = HistogramMetricFamily(
        "longshore_fleet_frame_seconds", "Capture to answer, of answered frames.", labels=(*ON_BOX, "answered_by")
    )
    uplink = CounterMetricFamily(
        "longshore_fleet_uplink_bytes", "Bytes of pictures sent to cloud nodes.", labels=ON_BOX
    )
    stages = CounterMetricFamily(
        "longshore_fleet_stage_seconds", "Time answered frames spent, by stage.", labels=(*ON_BOX, "stage")
    )
    for key, sums in sorted(totals.items()):
        for outcome, count in sorted(sums.counts.items()):
            frames.add_metric((*key, outcome), count)
        for where, latencies in (("box", sums.box), ("cloud", sums.cloud)):
            seconds.add_metric((*key, where), buckets(latencies), latencies.seconds)
        for stage, spent in sorted(sums.stages.items()):
            stages.add_metric((*key, stage), spent)
        uplink.add_metric(key, sums.uplink_bytes)
    yield from (frames, seconds, stages, uplink)


def buckets(latencies: Latencies) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus has them: upper bound in seconds, frames up to it."""
    cumulative = [
        (str(bound / 1000), float(sum(latencies.frames[: LATENCY_BOUNDS_MS.index(bound) + 1]))) for bound in BOUNDS_MS
    ]
    return [*cumulative, ("+Inf", float(latencies.answered))]


def _counted(documents: Iterable[Document], *keys: str) -> list[Labelled]:
    """How many there are of each combination of these parts of their status."""
    found = Counter(tuple(str(document["status"][key]) for key in keys) for document in documents)
    return sorted(found.items())


def _boxes(deployments: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """Each deployment's name with each box it selects."""
    for item in deployments:
        for box in item["status"]["boxes"]:
            yield _name(item), box


def _gauge(name: str, meaning: str, labels: Sequence[str], values: Iterable[Labelled]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])
