"""Durations and rates with their unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet.quantities import (
    Money,
    about,
    bits_per_second,
    duration_ms,
    duration_text,
    money,
    rate_text,
    size_bytes,
    size_text,
    span_text,
    watts,
    watts_text,
)
from protos.errors import Rejected


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    assert duration_ms(duration_text(milliseconds), "d") == milliseconds
    assert duration_ms(span_text(milliseconds), "d") == milliseconds


@given(st.integers(0, 10**9))
def test_a_rate_survives_being_written_and_read(bits: int) -> None:
    assert bits_per_second(rate_text(bits), "r") == bits


@given(st.integers(0, 1 << 60))
def test_a_size_survives_being_written_and_read(count: int) -> None:
    assert size_bytes(size_text(count), "s") == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("20GiB", 20 << 30),
        ("256MiB", 256 << 20),
        ("1.5GB", 1_500_000_000),
        ("64KiB", 65_536),
        ("0B", 0),
        ("2 TB", 2 * 10**12),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert size_bytes(text, "s") == count


@pytest.mark.parametrize("value", ["20", 20, "20G", "GiB", "-1B", "0.5B", "1mb", None])
def test_a_size_without_a_sound_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(Rejected, match=r'registry.quota must be a size such as "20GiB"'):
        size_bytes(value, "registry.quota")


def test_what_is_said_is_short() -> None:
    assert [span_text(n) for n in (604_800_000, 129_600_000, 90_000)] == ["7d", "36h", "90s"]
    assert [about(n) for n in (12, 1536, 1_288_490_189)] == ["12 B", "1.5 KiB", "1.2 GiB"]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("250ms", 250),
        ("2s", 2000),
        ("1.5s", 1500),
        ("0s", 0),
        ("0.25s", 250),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("7d", 604_800_000),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert duration_ms(text, "d") == milliseconds


@pytest.mark.parametrize(
    ("text", "bits"),
    [("4Mbit/s", 4_000_000), ("800kbit/s", 800_000), ("1.5Mbit/s", 1_500_000), ("0bit/s", 0), ("1 Gbit/s", 10**9)],
)
def test_rates(text: str, bits: int) -> None:
    assert bits_per_second(text, "r") == bits


@pytest.mark.parametrize("value", ["250", 250, "", "ms", "-1s", "1e3s", "10 s", None, True, "1w", "٣s"])
def test_a_duration_without_a_sound_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(Rejected, match=r'objective.deadline must be a duration such as "250ms"'):
        duration_ms(value, "objective.deadline")


def test_a_duration_finer_than_a_millisecond_is_refused_as_that() -> None:
    with pytest.raises(Rejected, match=r"d must be whole milliseconds, not '0\.5ms'"):
        duration_ms("0.5ms", "d")


@pytest.mark.parametrize("value", ["4", 4, "4MB/s", "4mbit/s", "4Mbit", "-4Mbit/s", "0.5bit/s", None])
def test_a_rate_without_a_sound_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(Rejected, match=r'offload.uplink must be a rate such as "4Mbit/s"'):
        bits_per_second(value, "offload.uplink")


@given(st.integers(0, 10**15))  # to a million
def test_money_and_power_survive_being_written_and_read(count: int) -> None:
    amount = Money(count / 10**9, "EUR")
    assert money(amount.text("s"), "m", "s") == amount
    power = count / 10**10
    assert watts(watts_text(round(power, 6)), "w") == round(power, 6)


def test_small_amounts_are_written_without_an_exponent() -> None:
    assert Money(0.000002, "USD").text("s") == "0.000002 USD/s"
    assert watts_text(1_200_000.0) == "1200000 W"
