"""Quantities with their unit, as people write them in specs: durations (`250ms`), rates (`4Mbit/s`), sizes (`2GiB`).

Parsed once where they enter; inside, a duration is whole milliseconds, a rate is whole bits per second and a size whole
bytes. A bare number is refused: nobody should have to guess its unit.
"""

from __future__ import annotations

import re
from fractions import Fraction

from protos.errors import Rejected

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s?(k|M|G)?bit/s")
_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,6})?)\s?([kMGT]i?)?B")
_BYTES: dict[str | None, int] = {
    None: 1,
    **{prefix: 1000**power for power, prefix in enumerate("kMGT", 1)},
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("kMGT", 1)},
}
_BITS = {None: 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def duration_ms(value: object, where: str) -> int:
    """`value`, such as "250ms", "1.5s", "2m" or "0s", in whole milliseconds.

    Raises:
        Rejected: not a duration, or finer than a millisecond.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    exact = Fraction(found[1]) * _MILLISECONDS[found[2]] if found else None
    if exact is None:
        raise Rejected(f'{where} must be a duration such as "250ms" or "2s", not {value!r}')
    if exact.denominator != 1:
        raise Rejected(f"{where} must be whole milliseconds, not {value!r}")
    return int(exact)


def duration_text(milliseconds: int) -> str:
    """The shortest way to write it; `duration_ms(duration_text(n)) == n`."""
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    return f"{milliseconds // 1000}s"


def span_text(milliseconds: int) -> str:
    """As `duration_text`, for what lasts: `7d`, `36h`."""
    for unit in ("d", "h", "m"):
        if milliseconds and milliseconds % _MILLISECONDS[unit] == 0:
            return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
    return duration_text(milliseconds)


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


def size_bytes(value: object, where: str) -> int:
    """`value`, such as "20GiB", "1.5GB" or "0B", in whole bytes.

    Raises:
        Rejected: not a size.
    """
    found = _SIZE.fullmatch(value.replace("Ki", "ki")) if isinstance(value, str) else None
    exact = Fraction(found[1]) * _BYTES[found[2]] if found else None
    if exact is None or exact.denominator != 1:
        raise Rejected(f'{where} must be a size such as "20GiB" or "500MB", not {value!r}')
    return int(exact)


def size_text(count: int) -> str:
    """The shortest way to write it; `size_bytes(size_text(n)) == n`."""
    for prefix in ("Ti", "T", "Gi", "G", "Mi", "M", "ki", "k"):
        if count and count % _BYTES[prefix] == 0:
            return f"{count // _BYTES[prefix]}{prefix}B".replace("ki", "Ki")
    return f"{count}B"


def about(count: int) -> str:
    """A size as a sentence says it: `1.2 GiB`."""
    for prefix in ("Ti", "Gi", "Mi", "ki"):
        if count >= _BYTES[prefix]:
            return f"{count / _BYTES[prefix]:.1f} {prefix.replace('k', 'K')}B"
    return f"{count} B"
