"""The taps of an engine as its worker knows them: by number, with the memory their frames lie in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.inference.messages import Attach, SlotIn
from agent.ports import InSlot
from agent.types import ModelInput, Tap
from protos.errors import Rejected


@dataclass(frozen=True)
class Attached:
    """A tap; `fd` is the engine's own duplicate."""

    number: int
    fd: int
    slots: int
    input: ModelInput

    @property
    def message(self) -> Attach:
        return Attach(self.number, self.slots, self.input.height, self.input.width)


def in_slot(taps: Mapping[Tap, Attached], frame: InSlot) -> SlotIn:
    """The frame as the worker knows it. Raises Rejected where its tap has no such slot here."""
    attached = taps.get(frame.tap)
    if attached is None or not 0 <= frame.slot < attached.slots:
        raise Rejected(f"slot {frame.slot} of camera {frame.tap.camera} is not attached to this engine")
    return SlotIn(attached.number, frame.slot, frame.geometry)
