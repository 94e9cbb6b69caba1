"""How a camera is watched: at every frame or only while something moves, and where not. Pure.

A mask is a polygon as a zone is: motion in it does not count, and what stands in it is not told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.fields import Fields, duration, flag
from controlplane.fleet import quantities, zones
from controlplane.fleet.zones import Zone

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


def masks_from_spec(value: object, where: str) -> tuple[Zone, ...]:
    """Raises Rejected, naming the mask that is wrong."""
    return zones.from_spec(value, where, "mask")


def masks_to_spec(masks: Iterable[Zone]) -> list[dict[str, object]]:
    """The inverse of `masks_from_spec`."""
    return zones.to_spec(masks)
