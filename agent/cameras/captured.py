"""What goes in and out of the cameras: plans, and frames without a deadline. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.cameras.messages import FrameReady
from agent.types import Finished, Frame, Geometry, ModelInput, Tap
from protos.ids import CameraName
from protos.outcomes import Outcome


class CameraPlan(Protocol):
    """A camera as it should be. `source` may hold credentials."""

    @property
    def name(self) -> CameraName: ...

    @property
    def source(self) -> str: ...

    @property
    def rate(self) -> float: ...


@dataclass(frozen=True)
class Captured:
    """A due frame in its slot; the deadline is for others to set."""

    tap: Tap
    seq: int
    slot: int
    captured: float  # monotonic seconds
    captured_unix_ns: int
    geometry: Geometry
    input: ModelInput
    ts_source: str
    decode_seconds: float
    fit_seconds: float

    def due_in(self, seconds: float) -> Frame:
        """The frame with its deadline, `seconds` from capture."""
        return Frame(
            tap=self.tap,
            seq=self.seq,
            slot=self.slot,
            captured=self.captured,
            captured_unix_ns=self.captured_unix_ns,
            deadline=self.captured + seconds,
            geometry=self.geometry,
            ts_source=self.ts_source,
            input=self.input,
            decode_seconds=self.decode_seconds + self.fit_seconds,
        )

    def shed(self, now: float) -> Finished:
        """How it ends where nobody could answer it."""
        return Finished(
            tap=self.tap,
            seq=self.seq,
            outcome=Outcome.SHED,
            captured=self.captured,
            captured_unix_ns=self.captured_unix_ns,
            finished=now,
            ts_source=self.ts_source,
        )

    @classmethod
    def told(cls, tap: Tap, wanted: ModelInput, message: FrameReady) -> Captured:
        """From a worker's word."""
        return cls(
            tap=tap,
            seq=message.seq,
            slot=message.slot,
            captured=message.captured,
            captured_unix_ns=message.captured_unix_ns,
            geometry=message.geometry,
            input=wanted,
            ts_source=message.ts_source,
            decode_seconds=message.decode_seconds,
            fit_seconds=message.fit_seconds,
        )
