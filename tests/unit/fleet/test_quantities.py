"""Durations and rates with their unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet.quantities import bits_per_second, duration_ms, duration_text, rate_text
from protos.errors import Rejected


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    assert duration_ms(duration_text(milliseconds), "d") == milliseconds


@given(st.integers(0, 10**9))
def test_a_rate_survives_being_written_and_read(bits: int) -> None:
    assert bits_per_second(rate_text(bits), "r") == bits


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("2s", 2000), ("1.5s", 1500), ("0s", 0), ("0.25s", 250), ("2m", 120_000), ("1h", 3_600_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert duration_ms(text, "d") == milliseconds


@pytest.mark.parametrize(
    ("text", "bits"),
    [("4Mbit/s", 4_000_000), ("800kbit/s", 800_000), ("1.5Mbit/s", 1_500_000), ("0bit/s", 0), ("1 Gbit/s", 10**9)],
)
def test_rates(text: str, bits: int) -> None:
    assert bits_per_second(text, "r") == bits


@pytest.mark.parametrize("value", ["250", 250, "", "ms", "-1s", "1e3s", "0.5ms", "10 s", None, True, "1d", "٣s"])
def test_a_duration_without_a_sound_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(Rejected, match=r'objective.deadline must be a duration such as "250ms"'):
        duration_ms(value, "objective.deadline")


@pytest.mark.parametrize("value", ["4", 4, "4MB/s", "4mbit/s", "4Mbit", "-4Mbit/s", "0.5bit/s", None])
def test_a_rate_without_a_sound_unit_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(Rejected, match=r'offload.uplink must be a rate such as "4Mbit/s"'):
        bits_per_second(value, "offload.uplink")
