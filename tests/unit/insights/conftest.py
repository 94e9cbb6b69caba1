"""A control plane under a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    plane = SimControlPlane(tmp_path, clock)
    yield plane
    plane.close()
