"""Ingest over a broker in memory and a real SQLite database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from tests.sim.clock import FakeClock
from tests.sim.fleet import SimFleet, sqlite
from tests.sim.ingest import Plane


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[Plane]:
    database = sqlite(tmp_path)
    fleet = SimFleet(database, clock)
    fleet.join("quay-1")
    yield Plane(fleet, IngestService(database, clock), InsightsService(database, clock))
    database.close()
