"""What a sender is told at its start. Values only: the command line reads them before anything else is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """Of a payload."""

    PROTOBUF = "protobuf"
    JSON = "json"


@dataclass(frozen=True)
class Limits:
    """How fast goes out what waited from a dark time. 0: no limit.

    The defaults drain a day of 50 records a second, or of 20 KiB a second, in a tenth of a day.
    """

    records_per_second: float = 600.0
    bytes_per_second: float = 262_144.0  # of payloads, as they go over the line


@dataclass(frozen=True)
class SenderSettings:
    form: Form = Form.PROTOBUF
    backfill: Limits = Limits()
