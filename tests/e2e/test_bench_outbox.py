"""The outbox's bench in its quick form: figures are a quiet machine's to judge, that it accepts and delivers is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_outbox import IDLE, QUICK, prove, table

pytestmark = pytest.mark.e2e


def test_what_the_outbox_takes_is_told_beside_sqlite_alone_and_with_its_share_of_a_core(tmp_path: Path) -> None:
    result = prove(tmp_path, QUICK)
    assert len(result["throughput"]["rounds"]) == QUICK.rounds
    assert result["throughput"]["records_per_second"] > 200
    assert result["paced"]["records"] == 2_000 * QUICK.paced
    assert result["idle"]["records"] > 0.5 * IDLE * QUICK.idle
    assert 0 < result["idle"]["share_of_a_core"] < 1
    assert "of a core at 50 records/s" in table(result)
