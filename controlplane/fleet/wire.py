"""Protobuf ↔ values, for the servicer. What a box sends is bounded here: cut, scrubbed of credentials, finite.

A box is not trusted with our database or page: no field is longer, no list longer, no number larger than anything that
makes sense, and no control character survives (PostgreSQL refuses NUL, terminals obey the others).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from controlplane.fleet import downloads, terms
from controlplane.fleet.accounts import ActionScore, FrameAccount, FrameAccounts, FrameWish
from controlplane.fleet.boxes import Answer
from controlplane.fleet.desired import DesiredCamera, DesiredDeployment, DesiredState
from controlplane.fleet.downloads import Download
from controlplane.fleet.looking import LogLine, Picture, Snapshot, SnapshotWish
from controlplane.fleet.reports import (
    ROUTES,
    CallCost,
    CameraReport,
    DecisionReport,
    DeploymentReport,
    Inventory,
    Problem,
    Report,
    ShadowReport,
    TrustReport,
)
from controlplane.fleet.sources import scrubbed
from controlplane.fleet.terms import Terms
from controlplane.fleet.zones import Point, Zone
from controlplane.trust.ports import Issued
from protos import carried, fleet_pb2
from protos.errors import Rejected
from protos.ids import CameraName

_NAME = 63
_TEXT = 500  # characters of one sentence
_ITEMS = 256  # of any list: beyond the cameras of any box
_LARGEST = (1 << 63) - 1  # what the database's integers hold
_LAST_MOMENT = 253_402_300_799_000  # the end of the year 9999, in Unix milliseconds
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

T = TypeVar("T")


def _text(value: str, most: int = _TEXT) -> str:
    return scrubbed(_CONTROL.sub(" ", value[: 4 * most]))[:most]


def _count(value: int) -> int:
    return max(0, min(value, _LARGEST))


def _moment(unix_ms: int) -> int:
    """One that can be written as a date: a box's clock may say anything."""
    return max(0, min(unix_ms, _LAST_MOMENT))


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _some(items: Iterable[T]) -> list[T]:
    return [item for item, _ in zip(items, range(_ITEMS), strict=False)]


def report(message: fleet_pb2.SyncRequest) -> Report:
    return Report(
        observed_generation=_count(message.observed_generation),
        boot_id=_text(message.boot_id, _NAME),
        inventory=_inventory(message.inventory),
        deployments=tuple(_deployment(item) for item in _some(message.deployments)),
        cameras=tuple(_camera(item) for item in _some(message.cameras)),
        problems=tuple(Problem(_text(item.code, _NAME), _text(item.message)) for item in _some(message.problems)),
        clock_unix_ms=_count(message.clock_unix_ms),
        silent_seconds=message.silent_seconds,
        epoch=_text(message.epoch, _NAME),
        trust=_trust(message.trust) if message.HasField("trust") else None,
    )


def _inventory(message: fleet_pb2.Inventory) -> Inventory:
    return Inventory(
        agent_version=_text(message.agent_version, _NAME),
        os=_text(message.os, 120),
        cpu_cores=_count(message.cpu_cores),
        memory_bytes=_count(message.memory_bytes),
        disk_free_bytes=_count(message.disk_free_bytes),
        providers=tuple(_text(item, _NAME) for item in _some(message.providers)),
        inference_grpc_url=_text(message.inference_grpc_url),
        inference_http_url=_text(message.inference_http_url),
        metrics_url=_text(message.metrics_url),
    )


def _deployment(message: fleet_pb2.DeploymentReport) -> DeploymentReport:
    return DeploymentReport(
        name=_text(message.name, _NAME),
        state=_text(message.state, _NAME),
        active_digest=_text(message.active_digest, 71),
        target_digest=_text(message.target_digest, 71),
        message=_text(message.message),
        refused_digests=tuple(_text(item, 71) for item in _some(message.refused_digests)),
        bytes_done=_count(message.bytes_done),
        bytes_total=_count(message.bytes_total),
        variant=_text(message.variant, _NAME),
        shadow=_shadow(message.shadow) if message.HasField("shadow") else None,
        cost=_cost(message.cost) if message.HasField("cost") else None,
        held=message.held,
        decision=_decision(message.decision) if message.HasField("decision") else None,
    )


def _trust(message: fleet_pb2.TrustReport) -> TrustReport:
    return TrustReport(
        root_version=_count(message.root_version),
        timestamp_version=_count(message.timestamp_version),
        refreshed_unix_ms=_moment(message.refreshed_unix_ms),
        expires_unix_ms=_moment(message.expires_unix_ms),
    )


def _cost(message: fleet_pb2.CallCost) -> CallCost:
    return CallCost(_number(message.frame_seconds), _number(message.call_seconds))


def _decision(message: fleet_pb2.DecisionReport) -> DecisionReport:
    return DecisionReport(
        frames=_count(message.frames),
        **{route: _number(getattr(message, route)) for route in ROUTES},
        load=_number(message.load),
        bits_per_second=_number(message.bits_per_second),
        rtt_seconds=_number(message.rtt_seconds),
        bits_left=_number(message.bits_left) if message.HasField("bits_left") else None,
        money_left=_number(message.money_left) if message.HasField("money_left") else None,
        prices={_text(name, _NAME): _number(message.prices[name]) for name in _some(sorted(message.prices))},
        rung=_text(message.rung, _NAME),
        rung_why=_text(message.rung_why),
        why=_text(message.why),
    )


def _shadow(message: fleet_pb2.ShadowReport) -> ShadowReport:
    return ShadowReport(
        digest=_text(message.digest, 71),
        message=_text(message.message),
        agreed=_count(message.agreed),
        differed=_count(message.differed),
        failed=_count(message.failed),
        infer_seconds=_number(message.infer_seconds),
        active_infer_seconds=_number(message.active_infer_seconds),
    )


def _camera(message: fleet_pb2.CameraReport) -> CameraReport:
    return CameraReport(
        name=_text(message.name, _NAME),
        state=_text(message.state, _NAME),
        reason=_text(message.reason),
        frames_per_second=_number(message.frames_per_second),
        last_frame_unix_ms=_count(message.last_frame_unix_ms),
        width=_count(message.width),
        height=_count(message.height),
        restarts=_count(message.restarts),
        refused_spec=_text(message.refused_spec),
        lowered_rate=_number(message.lowered_rate),
    )


def answer(value: Answer) -> fleet_pb2.SyncResponse:
    return fleet_pb2.SyncResponse(
        desired=_desired(value.desired, value.generation, value.watch_until_unix_ms),
        grant=fleet_pb2.FileGrant(
            base_url=value.blobs_url,
            bearer=value.grant_bearer,
            expires_unix_ms=value.grant_expires_unix_ms,
            metadata_url=value.metadata_url,
            metadata_version=value.metadata_version,
        ),
        clock_unix_ms=value.now_unix_ms,
    )


def _desired(state: DesiredState, generation: int, watch_until_unix_ms: int) -> fleet_pb2.DesiredState:
    message = fleet_pb2.DesiredState(
        generation=generation,
        cameras=[_camera_spec(item) for item in state.cameras],
        deployments=[_deployment_spec(item) for item in state.deployments],
        switches=fleet_pb2.Switches(slow_down_ms=state.slow_down_ms, paused=state.paused),
        cloud=[fleet_pb2.CloudEndpoint(url=item.url, node_id=item.node_id) for item in state.cloud],
        sync_interval_seconds=state.sync_interval_seconds,
        watch_until_unix_ms=watch_until_unix_ms,
        labels=dict(state.labels),
        quiet_sync_seconds=state.quiet_sync_seconds,
        quotas=fleet_pb2.Quotas(release_bytes=state.quotas.release_bytes or 0, outbox_bytes=state.quotas.outbox_bytes),
    )
    if state.broker is not None:
        broker = state.broker
        message.broker.CopyFrom(
            fleet_pb2.BrokerEndpoint(
                host=broker.host,
                port=broker.port,
                tls=broker.tls,
                mqtt5=broker.mqtt5,
                beat_seconds=broker.beat_seconds,
            )
        )
    return message


def _camera_spec(value: DesiredCamera) -> fleet_pb2.CameraSpec:
    return fleet_pb2.CameraSpec(
        name=value.name,
        source=value.source,
        rate=value.rate,
        labels=dict(value.labels),
        generation=value.generation,
        zones=[_zone(item) for item in value.zones],
        lines=[fleet_pb2.Line(name=item.name, points=_points(item.points)) for item in value.lines],
        masks=[_zone(item) for item in value.masks],
        motion=fleet_pb2.MotionGate(every_ms=value.motion.every_ms) if value.motion.gate else None,
    )


def _zone(value: Zone) -> fleet_pb2.Zone:
    return fleet_pb2.Zone(name=value.name, points=_points(value.points), dwell_seconds=value.dwell_seconds)


def _points(points: Iterable[Point]) -> list[fleet_pb2.Point]:
    return [fleet_pb2.Point(x=x, y=y) for x, y in points]


def _deployment_spec(value: DesiredDeployment) -> fleet_pb2.DeploymentSpec:
    return fleet_pb2.DeploymentSpec(
        name=value.name,
        model=value.model,
        version=value.version,
        digest=value.digest,
        cameras=value.cameras,
        deadline_ms=value.deadline_ms,
        latency_budget_ms=value.latency_budget_ms,
        offload=fleet_pb2.OffloadSpec(
            enabled=value.offload.enabled,
            bits_per_second=value.offload.uplink_bits_per_second,
            jpeg_quality=value.offload.jpeg_quality,
        ),
        min_score=value.min_score,
        detections_per_second=value.detections_per_second,
        classes=value.classes,
        silent=not value.events,
        shadow=fleet_pb2.ShadowSpec(digest=value.shadow.digest, share=value.shadow.share) if value.shadow else None,
        download=_download(value.download) if value.download != downloads.AT_ONCE else None,
        terms=_terms(value.terms) if value.terms != terms.AS_EVER else None,
    )


def _terms(value: Terms) -> fleet_pb2.TermsSpec:
    costs = value.costs
    return fleet_pb2.TermsSpec(
        values=dict(value.values),
        camera_values=dict(value.camera_values),
        money_per_day=value.per_day.amount if value.per_day is not None else None,
        currency=value.currency,
        watts=value.watts,
        grams_per_hour=value.grams_per_hour,
        money_per_gigabyte=costs.gigabyte.amount if costs.gigabyte is not None else None,
        money_per_cloud_second=costs.cloud_second.amount if costs.cloud_second is not None else None,
        grams_per_kwh=costs.grams_per_kwh,
        floor_rate=value.floor_rate,
        safety=value.safety,
        stays=value.stays,
        all_stay=value.all_stay,
    )


def _download(value: Download) -> fleet_pb2.DownloadSpec:
    window = value.window
    return fleet_pb2.DownloadSpec(
        bits_per_second=value.bits_per_second,
        window=fleet_pb2.DailyWindow(opens_minute=window.opens, closes_minute=window.closes, zone=window.zone)
        if window
        else None,
        jitter_ms=value.jitter_ms,
    )


def certificate(issued: Issued, ca_pem: str) -> fleet_pb2.Certificate:
    return fleet_pb2.Certificate(certificate_pem=issued.pem, ca_pem=ca_pem, not_after_unix_ms=issued.not_after_ms)


def picture(message: fleet_pb2.Picture) -> Picture:
    return Picture(
        camera=CameraName(_text(message.camera, _NAME)),
        captured_unix_ms=_count(message.captured_unix_ms),
        jpeg=message.jpeg,
        outcome=_text(message.outcome, _NAME),
        latency_ms=_number(message.latency_ms),
    )


def snapshot(message: fleet_pb2.Snapshot) -> Snapshot:
    return Snapshot(
        wish=_count(message.wish),
        camera=CameraName(_text(message.camera, _NAME)),
        captured_unix_ms=_count(message.captured_unix_ms),
        jpeg=message.jpeg,
        failure=_text(message.failure),
    )


def snapshot_wish(value: SnapshotWish) -> fleet_pb2.SnapshotWish:
    region = value.region
    return fleet_pb2.SnapshotWish(
        number=value.number,
        camera=value.camera,
        max_side=value.max_side,
        quality=value.quality,
        region=fleet_pb2.Region(x0=region.x0, y0=region.y0, x1=region.x1, y1=region.y1),
    )


def frame_wish(value: FrameWish) -> fleet_pb2.SnapshotWish:
    frame = fleet_pb2.FrameWish(seq=value.seq, deployment=value.deployment)
    return fleet_pb2.SnapshotWish(number=value.number, camera=value.camera, frame=frame)


def frame_accounts(message: fleet_pb2.FrameAccounts) -> FrameAccounts:
    return FrameAccounts(
        wish=_count(message.wish),
        camera=CameraName(_text(message.camera, _NAME)),
        accounts=tuple(_frame_account(item) for item in _some(message.accounts)),
        failure=_text(message.failure),
    )


def _frame_account(message: fleet_pb2.FrameAccount) -> FrameAccount:
    return FrameAccount(
        deployment=_text(message.deployment, _NAME),
        seq=_count(message.seq),
        captured_unix_ms=_moment(message.captured_unix_ms),
        chosen=_text(message.chosen, _NAME),
        why=_text(message.why),
        scores=tuple(_action_score(item) for item in _some(message.scores)),
        propensity=_number(message.propensity),
        features={_text(name, _NAME): _number(message.features[name]) for name in sorted(_some(message.features))},
        size=_text(message.size, _NAME),
        why_size=_text(message.why_size),
        outcome=_text(message.outcome, _NAME),
        latency_ms=_number(message.latency_ms),
        ran_on=_text(message.ran_on, _NAME),
        uplink_bytes=_count(message.uplink_bytes),
    )


def _action_score(message: fleet_pb2.ActionScore) -> ActionScore:
    return ActionScore(
        action=_text(message.action, _NAME),
        worth=_number(message.worth),
        on_time=_number(message.on_time),
        price=_number(message.price),
        score=_number(message.score),
        why_not=_text(message.why_not),
    )


def log_line(message: fleet_pb2.LogLine) -> LogLine:
    return LogLine(
        unix_ms=_count(message.unix_ms),
        level=_text(message.level, 16).upper(),
        logger=_text(message.logger, 120),
        message=_text(message.message, 2000),
    )


# ---- carried by hand ----


class Said(NamedTuple):
    """A report as it came: who claims to have signed what."""

    certificate: bytes  # PEM
    spoken: bytes
    signature: bytes
    content: bytes


def carried_state(
    node: str, state: DesiredState, generation: int, now_ms: int, vouch: Callable[[bytes], bytes]
) -> bytes:
    """A file for `node`, signed by `vouch`."""
    told = fleet_pb2.CarriedState(node_id=node, written_unix_ms=now_ms, desired=_desired(state, generation, 0))
    content = told.SerializeToString(deterministic=True)
    signature = vouch(carried.spoken(carried.STATE, content))
    return fleet_pb2.Carried(content=content, signature=signature).SerializeToString()


def carried_report(file: bytes) -> Said:
    """Raises Rejected: no report."""
    try:
        found = fleet_pb2.Carried.FromString(file)
    except DecodeError:
        found = fleet_pb2.Carried()
    if not found.certificate:  # as of a file for a box, too
        raise Rejected("this is no report of a box; make one with 'longshore-agent report -o FILE'")
    return Said(found.certificate, carried.spoken(carried.REPORT, found.content), found.signature, found.content)


def carried_content(content: bytes) -> Report:
    """Of a report whose signature was proven. Raises Rejected."""
    try:
        return report(fleet_pb2.CarriedReport.FromString(content).report)
    except DecodeError as error:
        raise Rejected("this report cannot be read; update the control plane to its agent's version") from error
