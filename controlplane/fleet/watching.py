"""How a camera is watched: at every frame or only while something moves. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.fields import Fields, duration, flag
from controlplane.fleet import quantities

EVERY_MS = range(1_000, 60_001)  # between looks at a camera in which nothing moves


@dataclass(frozen=True)
class Motion:
    """`gate`: pass frames over in which nothing moves, but for one every `every_ms`."""

    gate: bool = False
    every_ms: int = 10_000


ALWAYS = Motion()  # every frame is looked at


def motion_from_spec(value: object, where: str) -> Motion:
    """Raises Rejected."""
    fields = Fields(value, where)
    motion = Motion(
        gate=fields.take("gate", flag, default=Motion.gate),
        every_ms=fields.take("every", duration(EVERY_MS[0], EVERY_MS[-1]), default=Motion.every_ms),
    )
    fields.done()
    return motion


def motion_to_spec(motion: Motion) -> dict[str, object]:
    """The inverse of `motion_from_spec`."""
    return {"gate": motion.gate, "every": quantities.duration_text(motion.every_ms)}
