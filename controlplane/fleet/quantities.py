"""Quantities with their unit, as people write them in specs: durations (`250ms`), rates (`4Mbit/s`), sizes (`2GiB`),
money (`2.50 EUR/day`), power (`15 W`), carbon (`200 g/h`).

Parsed once where they enter; inside, a duration is whole milliseconds, a rate is whole bits per second, a size whole
bytes, and what is priced or emitted a float in its own unit. A bare number is refused: nobody should have to guess its
unit. So is anything negative.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
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
_MONEY = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,9})?)\s?([A-Z]{3})/(day|GB|s)")
_AMOUNT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?)\s?([a-zA-Z/]{1,8})")
_WATTS = {"W": 1, "kW": 1_000}
_GRAMS_PER_HOUR = {"g/h": 1, "kg/h": 1_000}
_GRAMS_PER_KWH = {"g/kWh": 1}


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


@dataclass(frozen=True)
class Money:
    """An amount in one currency, by its ISO 4217 code; per what, stands with whoever holds it."""

    amount: float
    currency: str

    def text(self, per: str) -> str:
        """As it is written: `2.5 EUR/day`; `money(m.text(per), where, per) == m`."""
        return f"{_plain(self.amount)} {self.currency}/{per}"


def money(value: object, where: str, per: str) -> Money:
    """`value`, such as "2.50 EUR/day" where `per` is "day".

    Raises:
        Rejected: not an amount, or in no currency, or per something else.
    """
    found = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[3] != per:
        raise Rejected(f'{where} must be an amount in a currency such as "2.50 EUR/{per}", not {value!r}')
    return Money(float(found[1]), found[2])


def watts(value: object, where: str) -> float:
    """`value`, such as "15 W" or "1.2kW". Raises Rejected."""
    return _amount(value, where, _WATTS, 'a power such as "15 W"')


def watts_text(value: float) -> str:
    """`watts(watts_text(w)) == w`; so for the two below."""
    return f"{_plain(value)} W"


def grams_per_hour(value: object, where: str) -> float:
    """`value`, such as "200 g/h" or "1.2kg/h". Raises Rejected."""
    return _amount(value, where, _GRAMS_PER_HOUR, 'grams an hour such as "200 g/h"')


def grams_per_hour_text(value: float) -> str:
    return f"{_plain(value)} g/h"


def grams_per_kwh(value: object, where: str) -> float:
    """`value`, such as "380 g/kWh". Raises Rejected."""
    return _amount(value, where, _GRAMS_PER_KWH, 'grams a kilowatt-hour such as "380 g/kWh"')


def grams_per_kwh_text(value: float) -> str:
    return f"{_plain(value)} g/kWh"


def _amount(value: object, where: str, units: Mapping[str, int], like: str) -> float:
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise Rejected(f"{where} must be {like}, not {value!r}")
    return float(Fraction(found[1]) * units[found[2]])


def _plain(value: float) -> str:
    """The shortest that reads as the same number, without an exponent."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")
