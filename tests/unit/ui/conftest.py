"""A fleet whose boxes have reported for six minutes."""

from __future__ import annotations

import pytest

from tests.sim.control_plane import SimControlPlane
from tests.sim.fleet_data import HarbourFleet


@pytest.fixture
def harbour(plane: SimControlPlane) -> HarbourFleet:
    fleet = HarbourFleet(plane.services)
    fleet.join()
    fleet.history(minutes=6)
    fleet.report()
    return fleet
