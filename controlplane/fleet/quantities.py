"""Quantities with their unit, as people write them in specs: durations (`250ms`) and rates (`4Mbit/s`).

Parsed once where they enter; inside, a duration is whole milliseconds and a rate is whole bits per second. A bare
number is refused: nobody should have to guess its unit.
"""

from __future__ import annotations

import re
from fractions import Fraction

from protos.errors import Rejected

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s?(k|M|G)?bit/s")
_BITS = {None: 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def duration_ms(value: object, where: str) -> int:
    """`value`, such as "250ms", "1.5s", "2m" or "0s", in whole milliseconds.

    Raises:
        Rejected: not a duration, or finer than a millisecond.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    exact = Fraction(found[1]) * _MILLISECONDS[found[2]] if found else None
    if exact is None or exact.denominator != 1:
        raise Rejected(f'{where} must be a duration such as "250ms" or "2s", not {value!r}')
    return int(exact)


def duration_text(milliseconds: int) -> str:
    """The shortest way to write it; `duration_ms(duration_text(n)) == n`."""
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds // 1000}s"


def bits_per_second(value: object, where: str) -> int:
    """`value`, such as "4Mbit/s", "800kbit/s" or "0bit/s", in whole bits per second.

    Raises:
        Rejected: not a rate.
    """
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    exact = Fraction(found[1]) * _BITS[found[2]] if found else None
    if exact is None or exact.denominator != 1:
        raise Rejected(f'{where} must be a rate such as "4Mbit/s" or "800kbit/s", not {value!r}')
    return int(exact)


def rate_text(bits: int) -> str:
    """The shortest way to write it; `bits_per_second(rate_text(n)) == n`."""
    for prefix in ("G", "M", "k"):
        if bits and bits % _BITS[prefix] == 0:
            return f"{bits // _BITS[prefix]}{prefix}bit/s"
    return f"{bits}bit/s"
