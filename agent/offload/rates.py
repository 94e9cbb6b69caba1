"""How many frames a second each camera is asked for, and in which size: lowered under overload, raised with room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protos.ids import CameraName


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of one camera."""

    rate: float  # frames a second, as configured: never more
    worth: float  # of a correct answer to one of its frames
    motion: float = 1.0  # share of its frames in which something moves


@dataclass(frozen=True, slots=True)
class Setting:
    """What a camera gets."""

    rate: float  # frames a second
    smaller: int = 0  # steps below the largest size that its frames may take


class Rates:
    """Asked every two seconds."""

    def __init__(self, floor: float, sizes: int = 1) -> None:
        raise NotImplementedError

    def step(
        self, cameras: Mapping[CameraName, Wanted], shed: float, busy: float, now: float
    ) -> dict[CameraName, Setting]:
        """`shed`: share of frames since the last step that were given up; `busy`: share of time that the box ran."""
        raise NotImplementedError
