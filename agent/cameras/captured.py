"""What goes in and out of the cameras: plans, and frames without a deadline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from agent.cameras.messages import FrameReady, Still
from agent.types import Box, Finished, Frame, Geometry, ModelInput, Tap, Zone
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

    @property
    def look_every(self) -> float:
        """Seconds, at most, that frames in which nothing moves are passed over; 0: none is."""
        ...

    @property
    def masks(self) -> Sequence[Zone]:
        """In which motion does not count."""
        ...


class Captured(msgspec.Struct, frozen=True):
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


class PassedOver(msgspec.Struct, frozen=True):
    """A due frame in which nothing moved: there are no pixels of it."""

    tap: Tap
    seq: int
    captured: float  # monotonic seconds
    captured_unix_ns: int
    ts_source: str

    def ended(self, outcome: Outcome, now: float, boxes: tuple[Box, ...] = (), age: float = 0.0) -> Finished:
        """`boxes` and `age`: what the tap was answered last, and how long before this frame."""
        return Finished(
            tap=self.tap,
            seq=self.seq,
            outcome=outcome,
            captured=self.captured,
            captured_unix_ns=self.captured_unix_ns,
            finished=now,
            boxes=boxes,
            ts_source=self.ts_source,
            age=age,
        )

    @classmethod
    def told(cls, tap: Tap, message: Still) -> PassedOver:
        """From a worker's word."""
        return cls(tap, message.seq, message.captured, message.captured_unix_ns, message.ts_source)
