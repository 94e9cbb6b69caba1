"""A yard of cameras per test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sim.yard import Yard


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    yard = Yard()
    yield yard
    await yard.captures.close()
    assert yard.unaccounted == []  # whatever a test does, every due frame is told once
