"""A year of telemetry by hour, in a small form: every page and question is answered by a real control plane."""

from __future__ import annotations

import pytest

from bench.bench_year import PAGES, QUESTIONS, QUICK, prove, table

pytestmark = pytest.mark.e2e


def test_a_year_of_some_boxes_is_shown_asked_about_and_exported() -> None:
    result = prove(QUICK)
    told = result["databases"]["sqlite"]
    assert told["rows"] == 10 * 4 * 365 * 24
    assert [each["what"] for each in (*told["pages"], *told["questions"])] == [*PAGES, *QUESTIONS]
    assert told["database_bytes"] > 1_000_000
    assert told["export"]["parquet"]["bytes"] > 1000
    assert "box, 1y" in table(result)
