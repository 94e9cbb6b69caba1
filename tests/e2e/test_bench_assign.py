"""A change of a Deployment on its way to a real box, in its smallest form: all of it comes, and it is signed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.assigned.fleet import ALIKE, APART
from bench.bench_assign import Form, prove, table

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_a_change_reaches_a_box_and_signs_each_online_role_once_for_however_many_boxes(tmp_path: Path) -> None:
    result = prove(tmp_path, Form(changes=2, assignments=40, crowd=10))
    for kind in (APART, ALIKE):
        of = result[kind]
        assert of["changes"] == 2
        assert of["written_otherwise"] == []
        assert of["crowd"]["boxes"] == 10
        assert of["crowd"]["failed"] == 0
        assert of["assign_bytes"] > (40 * 150 if kind == APART else 150)
    assert "40 apart" in table(result)
