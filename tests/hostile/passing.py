"""What the gate says of one model, in its real processes, with the time and memory that it took."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
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
    """`rule` is "" for a model that passed this half of the gate; `static`: the half that runs nothing."""

    name: str
    rule: str
    sentence: str
    static: bool
    seconds: float

    @property
    def in_time(self) -> bool:
        return not self.static or self.seconds <= SECONDS


def by_rules(name: str, content: bytes, gate: Gate = TRIAL) -> Verdict:
    """Raises Retryable."""
    started = time.monotonic()
    said = _refused(lambda: gate.check("model.onnx", lambda: [content], len(content)))
    return Verdict(name, _rule(said), said, static=True, seconds=time.monotonic() - started)


def by_trial(name: str, content: bytes, gate: Gate = TRIAL) -> Verdict:
    """Of a model that no rule refused. Raises Retryable."""
    started = time.monotonic()
    said = _refused(lambda: gate.run("model.onnx", lambda: [content], len(content), AS_TENSORS))
    return Verdict(name, _rule(said), said, static=False, seconds=time.monotonic() - started)


def passing(name: str, content: bytes) -> Verdict:
    """Both. Raises Retryable."""
    found = by_rules(name, content)
    return found if found.rule else by_trial(name, content)


def _refused(act: Callable[[], object]) -> str:
    try:
        act()
    except Rejected as error:
        return str(error)
    return ""


def right(model: Hostile, verdict: Verdict) -> bool:
    """Whether a hostile model was refused by a rule that is meant for it; a flipped one may be sound."""
    if not verdict.rule:
        return model.family == "flipped"
    return verdict.rule in model.rules


def most_resident() -> int:
    """Bytes of the largest child so far, or of this process where that was larger when it started one."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _rule(said: str) -> str:
    return Rule(said.rpartition("(rule ")[2].rstrip(")")) if said else ""
