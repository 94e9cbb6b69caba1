"""What the gate says of one model, in its real processes, with the time and memory that it took."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from controlplane.gate.rules import Rule
from controlplane.gate.runner import Gate, Trial, Use
from protos.errors import Rejected
from tests.hostile.building import Hostile

SECONDS = 5.0  # of a static refusal
RESIDENT = 512 << 20  # bytes of the process that reads
TRIAL = Gate(trial=Trial(seconds=4))
AS_TENSORS = Use("tensor", None)


@dataclass(frozen=True)
class Verdict:
    """`rule` is "" for a model that passed; `seconds` are those of the half that refused it, or of both."""

    name: str
    rule: str
    sentence: str
    static: bool
    seconds: float

    @property
    def in_time(self) -> bool:
        return not self.static or self.seconds <= SECONDS


def passing(name: str, content: bytes, gate: Gate = TRIAL) -> Verdict:
    """Raises Retryable."""
    started = time.monotonic()
    try:
        gate.check("model.onnx", lambda: [content], len(content))
    except Rejected as error:
        return Verdict(name, _rule(error), str(error), static=True, seconds=time.monotonic() - started)
    try:
        gate.run("model.onnx", lambda: [content], len(content), AS_TENSORS)
    except Rejected as error:
        return Verdict(name, _rule(error), str(error), static=False, seconds=time.monotonic() - started)
    return Verdict(name, "", "", static=False, seconds=time.monotonic() - started)


def right(model: Hostile, verdict: Verdict) -> bool:
    """Whether a hostile model was refused by a rule that is meant for it; a flipped one may be sound."""
    if not verdict.rule:
        return model.family == "flipped"
    return verdict.rule in model.rules


def most_resident() -> int:
    """Bytes of the largest child so far, or of this process where that was larger when it started one."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _rule(error: Rejected) -> str:
    return Rule(str(error).rpartition("(rule ")[2].rstrip(")"))
