"""A control plane with its keys, and what a client would believe of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    made = SimControlPlane(tmp_path, clock)
    yield made
    made.close()
