"""How much of the outbox each class may fill, and how long its records may wait; and how a box is told it. Pure.

    debug=30%/7d,alarm=20%/365d

Percent of the outbox's bytes, then days, hours, minutes or seconds. A class that is not named keeps its defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.telemetry.classes import RecordClass
from protos.errors import Rejected

DAY = 86_400.0
SHARES: Mapping[RecordClass, float] = MappingProxyType(
    # of the total, at most: a flood of results can't push out the counts, nor a flapping camera the results
    {RecordClass.DEBUG: 0.3, RecordClass.METRIC: 0.6, RecordClass.DETECTION: 0.7, RecordClass.ALARM: 0.2}
)
AGES: Mapping[RecordClass, float] = MappingProxyType(
    # seconds that a record waits, at most; a dark box keeps what happened longer than what did not
    {
        RecordClass.DEBUG: 7 * DAY,
        RecordClass.METRIC: 90 * DAY,
        RecordClass.DETECTION: 90 * DAY,
        RecordClass.ALARM: 365 * DAY,
    }
)

_ONE = re.compile(r"(?P<word>[a-z]+)=(?P<share>\d{1,3})%/(?P<age>\d{1,6})(?P<unit>[dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_CLASSES = {each.word: each for each in SHARES}


@dataclass(frozen=True)
class Caps:
    """Of each class: the share of the outbox that it may fill, and the seconds that its records may wait."""

    shares: Mapping[RecordClass, float] = field(default_factory=lambda: SHARES)
    ages: Mapping[RecordClass, float] = field(default_factory=lambda: AGES)


DEFAULT_CAPS = Caps()


def caps(text: str, key: str) -> Caps:
    """`key`: what it is the value of. Raises Rejected."""
    shares, ages = dict(SHARES), dict(AGES)
    for part in filter(None, text.replace(" ", "").split(",")):
        found = _ONE.fullmatch(part)
        if found is None or found["word"] not in _CLASSES or not 1 <= int(found["share"]) <= 100:
            known = ", ".join(sorted(_CLASSES))
            raise Rejected(f"{key}: {part!r} must be like debug=30%/7d, with one of {known}, and 1 to 100 percent")
        record_class = _CLASSES[found["word"]]
        shares[record_class] = int(found["share"]) / 100
        ages[record_class] = float(int(found["age"]) * _SECONDS[found["unit"]])
    return Caps(shares, ages)
