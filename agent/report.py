"""What the agent says of itself at each Sync: the one place where the report's wire message is written."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.cameras.stats import CameraStats
from agent.offload.cost import CostLine
from agent.offload.standing import Standing
from agent.pipeline.shadow import ShadowTally
from agent.trust.freshness import View
from agent.types import Problem
from agent.update.shadow import Shadows
from agent.update.walk import Report
from agent.version import VERSION
from protos import fleet_pb2
from protos.ids import CameraName, DeploymentName, Digest
from protos.trust import TIMESTAMP


@dataclass(frozen=True)
class Addresses:
    """Where this box answers, as others reach it; empty where it does not."""

    inference_grpc: str = ""
    inference_http: str = ""
    metrics: str = ""


@dataclass(frozen=True)
class Box:
    """What does not change while the agent runs."""

    role: str
    boot_id: str
    state_dir: Path
    addresses: Addresses
    providers: tuple[str, ...]


@dataclass(frozen=True)
class ShadowReport:
    """`message`: why it sees no frames, completing "it …"; empty: it may."""

    digest: Digest
    message: str
    tally: ShadowTally


def shadow_reports(
    shadows: Shadows, tallies: Mapping[DeploymentName, ShadowTally], trouble: Callable[[DeploymentName], str]
) -> dict[DeploymentName, ShadowReport]:
    """`trouble`: why one that was loaded sees no frames."""
    return {
        name: ShadowReport(shadows.digest(name), message or trouble(name), tallies.get(name, ShadowTally()))
        for name, message in shadows.messages.items()
    }


def request(
    box: Box,
    epoch: str,
    deployments: Iterable[Report],
    cameras: Mapping[CameraName, CameraStats],
    problems: Iterable[Problem],
    shadows: Mapping[DeploymentName, ShadowReport] = {},
    costs: Mapping[DeploymentName, CostLine] = {},
    proven: View | None = None,
    standings: Mapping[DeploymentName, Standing] = {},
) -> fleet_pb2.SyncRequest:
    """The report; generation and clock are the sync loop's to fill in."""
    return fleet_pb2.SyncRequest(
        boot_id=box.boot_id,
        epoch=epoch,
        inventory=_inventory(box),
        deployments=[
            _deployment(report, shadows.get(name), costs.get(name), standings.get(name))
            for report in deployments
            for name in [report.deployment]
        ],
        cameras=[_camera(name, stats) for name, stats in cameras.items()],
        problems=[fleet_pb2.Problem(code=problem.code, message=problem.message) for problem in problems],
        trust=_trust(proven) if proven else None,
    )


def _trust(proven: View) -> fleet_pb2.TrustReport:
    return fleet_pb2.TrustReport(
        root_version=proven.root,
        timestamp_version=proven.timestamp,
        refreshed_unix_ms=int(proven.refreshed * 1000),
        expires_unix_ms=int(proven.expires.get(TIMESTAMP, 0.0) * 1000),
    )


def _inventory(box: Box) -> fleet_pb2.Inventory:
    return fleet_pb2.Inventory(
        agent_version=VERSION,
        os=platform.platform(terse=True),
        cpu_cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk_free_bytes=shutil.disk_usage(box.state_dir).free,
        providers=box.providers,
        inference_grpc_url=box.addresses.inference_grpc,
        inference_http_url=box.addresses.inference_http,
        metrics_url=box.addresses.metrics,
        role=box.role,
    )


def _deployment(
    report: Report, shadow: ShadowReport | None, cost: CostLine | None, standing: Standing | None
) -> fleet_pb2.DeploymentReport:
    return fleet_pb2.DeploymentReport(
        name=report.deployment,
        state=report.state,
        active_digest=report.active,
        target_digest=report.target,
        message=report.message,
        refused_digests=report.refused,
        bytes_done=report.bytes_done,
        bytes_total=report.bytes_total,
        variant=report.variant,
        shadow=_shadow(shadow) if shadow else None,
        cost=fleet_pb2.CallCost(frame_seconds=cost.per_frame, call_seconds=cost.per_call) if cost else None,
        held=report.held,
        decision=_decision(standing) if standing else None,
    )


def _decision(standing: Standing) -> fleet_pb2.DecisionReport:
    link, routes = standing.link, standing.routes
    return fleet_pb2.DecisionReport(
        frames=routes.frames,
        local=routes.local,
        small=routes.small,
        cloud=routes.cloud,
        hedge=routes.hedge,
        shed=routes.shed,
        load=standing.load,
        bits_per_second=link.bits_per_second if link else 0.0,
        rtt_seconds=link.rtt if link else 0.0,
        bits_left=standing.bits_left,
        money_left=standing.money_left,
        prices=standing.prices,
        rung=standing.rung,
        rung_why=standing.rung_why,
        why=standing.why,
    )


def _shadow(report: ShadowReport) -> fleet_pb2.ShadowReport:
    tally = report.tally
    frames = max(1, tally.answered)
    return fleet_pb2.ShadowReport(
        digest=report.digest,
        message=report.message,
        agreed=tally.agreed,
        differed=tally.differed,
        failed=tally.failed,
        infer_seconds=tally.seconds / frames,
        active_infer_seconds=tally.active_seconds / frames,
    )


def _camera(name: CameraName, stats: CameraStats) -> fleet_pb2.CameraReport:
    return fleet_pb2.CameraReport(
        name=name,
        state=stats.state,
        reason=stats.reason,
        frames_per_second=stats.frames_per_second,
        last_frame_unix_ms=stats.last_frame_unix_ns // 1_000_000,
        width=stats.width,
        height=stats.height,
        restarts=stats.restarts,
        refused_spec=stats.refused,
        lowered_rate=stats.lowered_rate,
    )
