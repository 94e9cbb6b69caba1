"""What an operator sets for a deployment: what an answer is worth, when it is due, and what it may cost.

Rules that hold here:

- A budget of None does not bind, and what it counts has no price.
- A camera that stays keeps its pictures on the box whatever they are worth.
- Safety: its frames pay no price. What may go up in any minute holds for them too.
- Money is in the currency of the operator; carbon is in grams of CO2 equivalent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from protos.ids import CameraName

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Terms:
    """See the module's rules. The defaults are what a deployment has that sets nothing."""

    deadline: float = 0.25  # seconds from capture
    values: Mapping[str, float] = field(default_factory=dict)  # of a frame, by the label of a thing in it; else 1
    camera_values: Mapping[CameraName, float] = field(default_factory=dict)  # of a camera's frames; else 1
    uplink_bits_per_second: float = 0.0
    money_per_day: float | None = None
    watts: float | None = None  # that the deployment's inference may draw on the box, on the mean
    grams_per_hour: float | None = None
    floor_rate: float = 1.0  # frames a second and camera, that control never goes below
    safety: bool = False
    stays: frozenset[CameraName] = frozenset()
    # ---- what things cost; careful guesses of a small box and a rented GPU ----
    money_per_gigabyte: float = 0.5  # of a metered uplink
    money_per_cloud_second: float = 0.0002  # of inference: 0.72 an hour
    joules_per_local_second: float = 15.0  # of inference, above the box at rest
    joules_per_megabit: float = 0.5  # of the box's radio
    grams_per_kwh: float = 400.0

    def worth(self, camera: CameraName, labels: Iterable[str] = ()) -> float:
        """What a correct answer in time to a frame of this camera is worth; 1 where nothing is set.

        `labels`: of what was seen in it, or what it is expected to hold. The dearest counts.
        """
        dearest = max((self.values.get(label, 1.0) for label in labels), default=1.0) if self.values else 1.0
        return self.camera_values.get(camera, 1.0) * dearest

    def may_leave(self, camera: CameraName) -> bool:
        """May this camera's pictures go up?"""
        return camera not in self.stays
