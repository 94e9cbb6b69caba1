"""How much of the outbox each class may fill, and how long its records may wait, as a box is told it. Pure.

    debug=30%/7d,alarm=20%/365d

Percent of the outbox's bytes, then days, hours, minutes or seconds. A class that is not named keeps its defaults.
"""

from __future__ import annotations

import re

from agent.telemetry.books import AGES, DROPPABLE, SHARES, Caps
from protos.errors import Rejected

_ONE = re.compile(r"(?P<word>[a-z]+)=(?P<share>\d{1,3})%/(?P<age>\d{1,6})(?P<unit>[dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_CLASSES = {each.word: each for each in DROPPABLE}


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
