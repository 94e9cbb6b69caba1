"""A yard of cameras per test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sim.yard import Yard, opened_yard


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with opened_yard() as yard:
        yield yard
