"""Decisions as a log has them: made up one by one, or by the real lane in virtual time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from agent.offload.decisions import Decision
from agent.offload.explain import Draw, Score
from agent.offload.profile import PRIOR, Profile
from agent.pipeline import accounts
from agent.pipeline.accounts import Accounts
from agent.pipeline.lane import Action, Lane
from agent.types import Finished, Frame
from protos.ids import CameraName, DeploymentName, digest_of
from protos.outcomes import Outcome
from tests.sim.lane import Box, lane

HARBOUR, QUAY = DeploymentName("harbour"), CameraName("quay")
LOCAL, CLOUD = Score(0.48, 0.8, 0.0, 0.48), Score(0.73, 0.97, 0.21, 0.52)
NOTHING = Score(0.0, 0.0, 0.0, 0.0)


def decided(seq: int = 1, chosen: str = "cloud", outcome: Outcome = Outcome.OK_CLOUD, **more: object) -> Decision:
    """A frame that went to the cloud, by a hair; `more`: other fields of it."""
    fields: dict[str, object] = {
        "scores": {"local": LOCAL, "cloud": CLOUD, "shed": NOTHING},
        "draws": [Draw(again=False, ahead=0.002, price=0.21, likely=0.62, went=True)],
        "features": {"value": 1.0, "waiting_frames": 2.0},
        "release": digest_of(b"1"),
        "ran_on": "cloud-1",
        "latency": 0.124,
        "uplink_bytes": 20_000,
        "right": 0.75,
        **more,
    }
    return Decision(HARBOUR, QUAY, seq, 1_795_000_000.0 + seq / 10, outcome, chosen, **fields)  # type: ignore[arg-type]


class Accounted:
    """A lane that keeps accounts, as the agent's runner has it do; for a Box to drive."""

    def __init__(self, lane: Lane, kept: Accounts) -> None:
        self._lane, self._kept = lane, kept

    def __getattr__(self, name: str) -> object:
        return getattr(self._lane, name)

    def arrive(self, frame: Frame, now: float) -> list[Action]:
        actions = self._lane.arrive(frame, now)
        account = self._lane.accounts[-1]
        account.features.update(accounts.budgets(self._lane, account, now))
        self._kept.begun(account)
        return actions


def lived(seconds: float, seed: int = 7, profile: Profile = PRIOR) -> Iterator[Decision]:
    """Of a busy box whose release was evaluated to this, with a cloud and a narrow uplink."""
    real, kept = lane(bits_per_second=1e6, planned=0.06), Accounts()
    real.weigh(replace(profile, measured=True))
    box = Box(real, cameras=2, rate=10.0, infer=lambda _: 0.06)
    accounted = Accounted(real, kept)
    box.lane = accounted  # type: ignore[assignment]
    rng = random.Random(seed)
    box.cloud = lambda _: 0.03 + 0.05 * rng.random()
    for finished in map(_answered, box.run(seconds)):
        if made := kept.ended(finished, partial(accounts.right, real, finished)):
            yield made


def _answered(finished: Finished) -> Finished:
    """The simulated engine and cloud tell no release."""
    return replace(finished, release=digest_of(b"1")) if finished.outcome.startswith("ok_") else finished
