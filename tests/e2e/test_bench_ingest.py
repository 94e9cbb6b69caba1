"""How fast telemetry is stored, in a small form: both databases keep their share of what their drivers can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bench_ingest import QUICK, prove, table

pytestmark = [pytest.mark.e2e, pytest.mark.mosquitto, pytest.mark.postgres]


def test_records_are_stored_at_their_share_of_what_the_drivers_can_do_and_come_whole_from_the_broker(
    tmp_path: Path,
) -> None:
    result = prove(tmp_path, QUICK)
    assert result["missed"] == []
    assert {each["records"] for each in result["ways"].values()} == {100 * 100 * QUICK.batches}
    assert "SQLite: broker to commit" in table(result)
