"""Whether a Sync may be left out: what was told last, and what would be told now. Pure.

A box whose beats arrive need not call in to be known as alive, and hints tell it what changes. So it calls in when its
report says something new, when something is under way that needs answers (leave to fetch, newer metadata), and rarely.
Figures that waver are news only when they have moved; with cameras they are told once a minute. How it decides about
frames moves all the time: of that only the rung of the ladder is news, unless somebody looks (agent.link.loop).
"""

from __future__ import annotations

from protos.fleet_pb2 import CameraReport, DecisionReport, DeploymentReport, SyncRequest

MOVED = 0.2  # of a figure
FIGURES_SECONDS = 60.0
_AT_REST = frozenset({"IDLE", "FAILED"})  # of agent.update.machine and agent.berths.machine


def longest(report: SyncRequest, quiet_seconds: float) -> float:
    """Seconds between two Syncs of which the second would say nothing new."""
    return min(quiet_seconds, FIGURES_SECONDS) if report.cameras else quiet_seconds


def may_stay_silent(told: SyncRequest, now: SyncRequest) -> bool:
    """`told`: the last report that was answered. The box said then that it may be silent, and says it now."""
    return told.silent_seconds > 0 and all(map(_at_rest, now.deployments)) and not _news(told, now)


def _at_rest(report: DeploymentReport) -> bool:
    """Refused, or what is wanted answers: nothing waits for a signature, a window or another try."""
    settled = report.state == "FAILED" or report.target_digest in ("", report.active_digest)
    return report.state in _AT_REST and settled and not report.HasField("shadow")


def _news(told: SyncRequest, now: SyncRequest) -> bool:
    if _moved(told.inventory.disk_free_bytes, now.inventory.disk_free_bytes):
        return True
    return _words(told) != _words(now) or any(map(_figures_moved, _figures(told), _figures(now)))


def _figures_moved(told: tuple[float, ...], now: tuple[float, ...]) -> bool:
    return any(_moved(before, after) for before, after in zip(told, now, strict=True))


def _moved(told: float, now: float) -> bool:
    return abs(now - told) > MOVED * max(abs(told), abs(now))


def _words(report: SyncRequest) -> bytes:
    """All of it but what wavers."""
    words = SyncRequest()
    words.CopyFrom(report)
    words.ClearField("clock_unix_ms")
    words.inventory.ClearField("disk_free_bytes")
    for camera in words.cameras:
        camera.ClearField("frames_per_second")
        camera.ClearField("lowered_rate")
        camera.ClearField("last_frame_unix_ms")
    for deployment in words.deployments:
        if deployment.HasField("cost"):
            deployment.cost.Clear()
        if deployment.HasField("decision"):
            deployment.decision.CopyFrom(DecisionReport(rung=deployment.decision.rung))
    return words.SerializeToString(deterministic=True)


def _figures(report: SyncRequest) -> list[tuple[float, ...]]:
    """In an order that is the same where the words are."""
    return [*map(_of_camera, report.cameras), *map(_of_deployment, report.deployments)]


def _of_camera(report: CameraReport) -> tuple[float, ...]:
    return (report.frames_per_second, report.lowered_rate)


def _of_deployment(report: DeploymentReport) -> tuple[float, ...]:
    return (report.cost.frame_seconds, report.cost.call_seconds)
