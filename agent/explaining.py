"""What is told of a frame that somebody asks about: why it went where it went, or why nobody knows any more."""

from __future__ import annotations

from collections.abc import Mapping

from agent.offload import reasons
from agent.offload.decisions import Decision
from agent.pipeline.accounts import Accounts
from protos import fleet_pb2
from protos.ids import CameraName, DeploymentName


def answer(
    wish: fleet_pb2.SnapshotWish, kept: Mapping[DeploymentName, Accounts], unix: float
) -> fleet_pb2.FrameAccounts:
    """To a wish for a frame's account, of each deployment that it was for. `unix`: seconds, now."""
    camera, seq, deployment = CameraName(wish.camera), wish.frame.seq, wish.frame.deployment
    asked = {name: each for name, each in kept.items() if deployment in ("", name)}
    found = [made for _, each in sorted(asked.items()) if (made := each.of(camera, seq)) is not None]
    told = fleet_pb2.FrameAccounts(wish=wish.number, camera=camera, accounts=[_account(made) for made in found])
    if not found:
        told.failure = _failure(camera, seq, asked, unix) if asked else _no_deployment(deployment, kept)
    return told


def _no_deployment(name: str, kept: Mapping[DeploymentName, Accounts]) -> str:
    if not kept:
        return "no deployment runs on this box, so nothing is decided here"
    return f"no deployment {name} runs on this box; these do: {', '.join(sorted(kept))}"


def _failure(camera: CameraName, seq: int, asked: Mapping[DeploymentName, Accounts], unix: float) -> str:
    """Why none of these deployments knows of such a frame."""
    reach = [(each.oldest(camera), each.of(camera)) for each in asked.values()]
    known = [(oldest, newest) for oldest, newest in reach if oldest is not None and newest is not None]
    if not known:
        return (
            f"no frame of {camera} has come to a deployment since this agent started; "
            f"'longshore describe camera {camera}' says whether it runs, and who answers for it"
        )
    oldest = min((oldest for oldest, _ in known), key=lambda made: made.captured)
    newest = max((newest for _, newest in known), key=lambda made: made.captured)
    return (
        f"frame {seq} of {camera} is not known any more, or not yet: the box remembers #{oldest.seq} to #{newest.seq}, "
        f"of the last {unix - oldest.captured:.0f} s; ask for one of these, or without a number for the newest"
    )


def _account(made: Decision) -> fleet_pb2.FrameAccount:
    return fleet_pb2.FrameAccount(
        deployment=made.deployment,
        seq=made.seq,
        captured_unix_ms=int(made.captured * 1000),
        scores=[
            fleet_pb2.ActionScore(
                action=action,
                worth=each.worth,
                on_time=each.on_time,
                price=each.price,
                score=each.score,
                why_not=reasons.why_not(made, action),
            )
            for action, each in made.scores.items()
        ],
        chosen=made.chosen,
        propensity=made.propensity,
        features=made.features,
        size=made.size,
        why_size=made.why_size,
        outcome=made.outcome,
        latency_ms=made.latency * 1000,
        ran_on=made.ran_on,
        uplink_bytes=made.uplink_bytes,
        why=reasons.sentence(made),
    )
