"""A control plane under a fake clock, for those that ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sim.clock import FakeClock

if TYPE_CHECKING:
    from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    from tests.sim.control_plane import SimControlPlane  # tests of the agent do not pay for its imports

    made = SimControlPlane(tmp_path, clock)
    yield made
    made.close()
