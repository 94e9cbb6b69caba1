"""How many frames the cloud-help benchmark expects, whatever the boxes say they counted."""

from __future__ import annotations

import pytest

from bench.cloud_help import expected

RATES = {"north-quay": 20.0, "south-quay": 10.0}
SECONDS = 10.0


def test_boxes_owe_their_rates_for_the_time_that_their_windows_span() -> None:
    spans = {"north-quay": (1_000, 9_000), "south-quay": (500, 10_500)}
    assert expected(spans, RATES, SECONDS) == pytest.approx(20 * 8 + 10 * 10)


@pytest.mark.parametrize("told", [{}, {"south-quay": (0, 2_000)}])
def test_a_box_that_told_too_little_still_owes_all_but_the_edges(told: dict[str, tuple[int, int]]) -> None:
    spans = {"north-quay": (1_000, 9_000), **told}
    assert expected(spans, RATES, SECONDS) == pytest.approx(20 * 8 + 10 * 6)
