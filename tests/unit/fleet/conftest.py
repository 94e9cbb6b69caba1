"""Fixtures of the fleet: a control plane without servers, under a fake clock, on real SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet, sqlite


@pytest.fixture
def fleet(tmp_path: Path, clock: FakeClock) -> Iterator[SimFleet]:
    database = sqlite(tmp_path)
    yield SimFleet(database, clock)
    database.close()
