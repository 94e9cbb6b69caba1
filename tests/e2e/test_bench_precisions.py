"""Precisions compared for real, in the smallest form; what they are worth on this machine says nothing here."""

from __future__ import annotations

import pytest

from bench.bench_precisions import Form, prove, providers, table
from tests.servers import require

pytestmark = pytest.mark.e2e


async def test_each_model_is_measured_with_each_provider_that_is_there() -> None:
    require.openvino()
    result = await prove(Form(rounds=1, seconds=0.1))
    assert {"cpu", "openvino-f32"} <= set(providers())
    for ways in result["models"].values():
        assert list(ways) == providers()
        assert (ways["cpu"]["alone_times_as_fast"], ways["cpu"]["at_once_times_as_many"]) == (1.0, 1.0)
        assert all(each["at_once_per_second"] > 0 and "declined" not in each for each in ways.values())
    assert "openvino-f32" in table(result)


def test_a_model_that_was_given_back_says_why() -> None:
    figures = {
        "alone_milliseconds": 1.0,
        "alone_times_as_fast": 1.0,
        "at_once_per_second": 9.0,
        "at_once_times_as_many": 1.0,
        "declined": "OpenVINO in bf16 loses 9 of 9 detections",
    }
    assert "loses 9 of 9" in table({"models": {"sample model": {"openvino-bf16": figures}}})
