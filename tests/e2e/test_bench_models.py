"""Several models in one box for real, in the smallest form; how fast this machine is says nothing here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.bench_models import Form, missed, prove, table

pytestmark = pytest.mark.e2e


async def test_three_models_at_once_all_answer_and_a_box_with_three_engines_comes_back(tmp_path: Path) -> None:
    result = await prove(tmp_path, Form(rounds=1, seconds=0.2, idle_seconds=0.5, starts=1))
    assert len(result["models"]) == result["engines"] == 3
    assert all(rate > 0 for rates in result["models"].values() for rate in rates.values())
    assert result["of_the_sum_of_its_parts"] > 0
    assert 0 <= result["idle_cores"] < 1
    assert result["ready_seconds"] > 0
    assert "sum of their parts" in table(result)


@pytest.mark.parametrize(
    ("what", "value", "sentence"),
    [
        ("of_the_sum_of_its_parts", 0.8, "all at once reach 0.800 of the sum of their parts, of 0.909"),
        ("idle_cores", 0.02, "a box that rests takes 0.020 of a core, of 0.02"),
        ("ready_seconds", 2.0, "a box is ready after 2.00 s, of 2"),
    ],
)
def test_each_thing_that_is_missed_is_said(what: str, value: float, sentence: str) -> None:
    fine: dict[str, Any] = {"of_the_sum_of_its_parts": 0.95, "idle_cores": 0.004, "ready_seconds": 1.5}
    assert missed(fine) == []
    assert missed(fine | {what: value}) == [sentence]
