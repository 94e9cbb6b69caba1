"""Bounds of one engine, and whether a request keeps within them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.inference.errors import BadInput, Overloaded
from agent.ports import Tensor


@dataclass(frozen=True)
class EngineLimits:
    waiting: int = 64  # calls that wait or run; camera frames are bounded by their slots
    request_bytes: int = 256 << 20  # of the tensors of one request
    kept_bytes: int = 8 << 20  # of that memory kept when idle
    drain_seconds: float = 10.0  # for what is in flight at `close`
    look_seconds: float = 0.5  # between looks at a worker that runs

    def check(self, inputs: Sequence[Tensor], waiting: int, usual_seconds: float) -> None:
        """May one more come to so many that wait, each of which takes so long? Raises BadInput, Overloaded."""
        nbytes = sum(tensor.nbytes for tensor in inputs)
        if nbytes > self.request_bytes:
            raise BadInput(f"{nbytes} bytes of tensors are more than the {self.request_bytes} taken at once")
        if waiting >= self.waiting:
            seconds = max(0.1, waiting * usual_seconds)
            raise Overloaded(f"{waiting} requests wait for this model; try again later", seconds)


USUAL_LIMITS = EngineLimits()
