"""The classes of records, which say what is dropped first when the outbox is full, lowest first:

    debug      a sampled frame in which nothing was found
    metric     how the frames of a window ended; CPU, memory, disk
    detection  a sampled frame with boxes, or one in which something happened
    alarm      a change of a camera's state
    gap        records that were dropped; never dropped itself

Apart from `records`, because the command line names them and does without protobuf.
"""

from __future__ import annotations

from enum import IntEnum


class RecordClass(IntEnum):
    """Stored as its number; a greater one is kept longer."""

    DEBUG = 1
    METRIC = 2
    DETECTION = 3
    ALARM = 4
    GAP = 5

    @property
    def word(self) -> str:
        """As it stands in Gap.record_class and in metrics."""
        return self.name.lower()
