"""Records that carry the name which their producer gave them (bench.telemetry.history.Made), there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.telemetry import records
from agent.telemetry.records import Draft, Latencies, NodeStats, OutcomeWindow
from agent.types import CameraState, Tap
from bench.telemetry.history import Made
from protos import telemetry_pb2 as wire
from protos.ids import DeploymentName
from protos.outcomes import Outcome
from tests.sim.telemetry import TAP, finished

RUN_BITS, NUMBER_BITS = 32, 24


def draft(made: Made, unix_ns: int) -> Draft:
    """See `of` for the way back."""
    makers: dict[str, Callable[[Made, int], Draft]] = {
        "alarm": _alarm,
        "detection": _frame,
        "debug": _frame,
        "metric": _node if made.number % 2 else _outcomes,
    }
    return makers[made.record_class](made, unix_ns)


def _tap(made: Made) -> Tap:
    return Tap(TAP.camera, DeploymentName(f"run-{made.run}"))


def _frame(made: Made, unix_ns: int) -> Draft:
    seen = finished(made.number, tap=_tap(made), captured_unix_ns=unix_ns)
    return records.frame(seen if made.record_class == "detection" else replace(seen, boxes=()))


def _alarm(made: Made, unix_ns: int) -> Draft:
    why = f"run {made.run} number {made.number}"
    return records.camera_health(TAP.camera, CameraState.RUNNING, why, unix_ns // 1_000_000)


def _node(made: Made, unix_ns: int) -> Draft:
    name = int(made.run, 16) << NUMBER_BITS | made.number
    return records.node_stats(NodeStats(0.5, name, 2), 0, 0, unix_ns // 1_000_000)


def _outcomes(made: Made, unix_ns: int) -> Draft:
    end = unix_ns // 1_000_000
    window = OutcomeWindow(_tap(made), end - 1000, end, {Outcome.OK_LOCAL: 1}, Latencies((0, 1), 0.001))
    return records.outcomes(replace(window, uplink_bytes=made.number))


def of(record: wire.Record) -> Made:
    """The way back from `draft`, as it was sent."""
    match record.WhichOneof("body"):
        case "frame":
            seen = record.frame
            return Made(seen.deployment.removeprefix("run-"), "detection" if seen.boxes else "debug", seen.frame_seq)
        case "outcomes":
            return Made(record.outcomes.deployment.removeprefix("run-"), "metric", record.outcomes.uplink_bytes)
        case "node":
            return of_stats(record.node.memory_bytes)
        case _:
            return of_health(record.camera.reason)


def of_stats(name: int) -> Made:
    return Made(f"{name >> NUMBER_BITS:0{RUN_BITS // 4}x}", "metric", name & (1 << NUMBER_BITS) - 1)


def of_health(reason: str) -> Made:
    _, run, _, number = reason.split()
    return Made(run, "alarm", int(number))
