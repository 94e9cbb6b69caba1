"""A candidate release in the shadow of the one that answers: it sees some of the frames, and nobody sees its answers.

Rules that hold here:
- It is the lowest class of work. It looks at a frame after that was answered, only while its lane has nothing else to
  do, one at a time, and its worker has no core that anything else wants.
- What it says is compared and forgotten. Whether it is slow, hangs or dies changes nothing for any frame.
- It keeps one slot of one camera while it looks, and no longer than two seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.pipeline.agreement import agree
from agent.ports import Detections, Engine
from agent.types import Frame, ModelInput

ROUNDING = 1e-6  # ten tenths are less than one
LONGEST_LOOK = 2.0  # seconds; after that its slot goes back, and an answer is not waited for


@dataclass
class ShadowTally:
    """Frames that a shadow looked at. Seconds are sums, of inference, over those that it answered."""

    agreed: int = 0
    differed: int = 0
    failed: int = 0  # no answer, or not in time
    seconds: float = 0.0
    active_seconds: float = 0.0  # of the release that answers, on the same frames

    @property
    def answered(self) -> int:
        return self.agreed + self.differed

    def compare(self, active: Detections, own: Detections) -> None:
        """Both answers to one frame."""
        agreed = agree(active.boxes, own.boxes)
        self.agreed += agreed
        self.differed += not agreed
        self.active_seconds += active.infer_seconds
        self.seconds += own.infer_seconds


@dataclass
class Shadow:
    """`share` of the frames, in the long run, as far as there is time for them."""

    engine: Engine
    pixels: ModelInput | None
    share: float
    tally: ShadowTally = field(default_factory=ShadowTally)
    _owed: float = 0.0  # frames, of the share
    _looks: bool = False

    def takes(self, frame: Frame, *, calm: bool) -> bool:
        """Does it look at this one, which was just answered? `calm`: the lane has nothing else to do.

        True: `looked` follows. A share that could not be taken for want of calm is made up for by one frame at most.
        """
        self._owed = min(1.0, self._owed + self.share)
        fits = self.pixels is not None and frame.input == self.pixels
        if self._owed < 1.0 - ROUNDING or self._looks or not calm or not fits or not self.engine.ready:
            return False
        self._owed -= 1.0
        self._looks = True
        return True

    def looked(self) -> None:
        """At the one that it took, or in vain."""
        self._looks = False
