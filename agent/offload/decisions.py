"""What is known of a frame once it has ended: its account and its end. A line of the decision log is one of these.

Rules that hold here:

- A line is a JSON object and stands for itself: whoever has it needs neither the box nor what ran there then.
- It names cameras and deployments, and holds no picture, no box and no address.
- A line that is no decision is passed over and counted: a power cut may leave half of one. So is one that tells what
  cannot be: each field has bounds, far beyond what a box writes and within what can be reckoned with and printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.offload.explain import PRINTED, Account, Amount, Chance, Draw, Score, Text, propensity
from agent.types import Finished
from protos.ids import CameraName, DeploymentName, Digest
from protos.outcomes import IN_TIME, Outcome

VERSION = 1  # of a line
_RENAMED = {"load": "slowness"}  # features of older lines: load is what a box is asked for of what it can infer
YEAR_9999 = 253_402_300_799.0  # its end, Unix seconds: the last that a date can be told of

Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=-1e10, le=1e10)]
FEW = Meta(max_length=64)


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are seconds; worth, price and score are in units of a frame's value."""

    deployment: Annotated[DeploymentName, PRINTED]
    camera: Annotated[CameraName, PRINTED]
    seq: Count
    captured: Annotated[float, Meta(ge=0.0, le=YEAR_9999)]  # Unix
    outcome: Outcome
    chosen: Text
    version: Count = VERSION
    scores: Annotated[dict[Text, Score], FEW] = {}  # by action
    draws: Annotated[list[Draw], FEW] = []
    features: Annotated[dict[Text, Amount], FEW] = {}  # in base units
    size: Text = ""  # of the model, where it ran on the box
    why_size: Text = ""
    probe: bool = False  # it went up to see how the link is
    release: Annotated[Digest, PRINTED] | None = None
    ran_on: Text = "local"  # or a cloud node's name
    latency: Seconds = 0.0  # capture to end
    uplink_bytes: Count = 0
    right: Chance = 0.0  # P(the answer is right), as far as the box knows; 0 without one
    route: Text = ""  # where it went, as agent.offload.standing has it
    sampled: Chance = 1.0  # share of decisions that the log keeps

    @property
    def propensity(self) -> float:
        """Probability of what was chosen, given the features."""
        return propensity(self.draws)

    @property
    def reward(self) -> float:
        """What it was worth in the end: the frame's value times P(right), where it was answered in time."""
        return self.features.get("value", 1.0) * self.right if self.outcome in IN_TIME else 0.0


def decision(account: Account, finished: Finished, right: float, route: str = "") -> Decision:
    """Of a frame that has ended. `right`: P(its answer is right); `route`: where it went."""
    return Decision(
        finished.tap.deployment,
        account.camera,
        account.seq,
        finished.captured_unix_ns / 1e9,
        finished.outcome,
        account.chosen,
        scores=account.scores,
        draws=account.draws,
        features=account.features,
        size=account.size,
        why_size=account.why_size,
        probe=account.probe,
        release=finished.release,
        ran_on=finished.where,
        latency=finished.latency,
        uplink_bytes=finished.uplink_bytes,
        right=right if finished.release is not None else 0.0,
        route=route,
    )


def written(made: Decision, sampled: float) -> bytes:
    """A line of a log that keeps such a share of decisions."""
    return _ENCODER.encode(msgspec.structs.replace(made, sampled=sampled)) + b"\n"


def read(lines: Iterable[bytes]) -> tuple[list[Decision], int]:
    """Decisions, in their order, and how many lines are none of this version, or none that could have been made."""
    found: list[Decision] = []
    passed_over = 0
    for line in lines:
        try:
            made = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            passed_over += 1
            continue
        if made.version == VERSION and _could_be(made):
            found.append(_renamed(made))
        else:
            passed_over += 1
    return found, passed_over


def _renamed(made: Decision) -> Decision:
    """With its features named as they are now."""
    features = {_RENAMED.get(name, name): value for name, value in made.features.items()}
    return msgspec.structs.replace(made, features=features)


def _could_be(made: Decision) -> bool:
    """Had all that was done a chance?"""
    return all((draw.likely if draw.went else 1.0 - draw.likely) > 0.0 for draw in made.draws)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Decision)
