"""A control plane under a fake clock, with one recipe, whose runs the test plays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim import recipes
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.training import Yard


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    recipes.write(tmp_path / "recipes")
    plane = SimControlPlane(tmp_path, clock)
    yield plane
    plane.close()


@pytest.fixture
def yard(plane: SimControlPlane) -> Yard:
    return Yard(plane)
