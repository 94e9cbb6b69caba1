"""A repository of signed metadata, and a box that believes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import SignedRepository


@pytest.fixture
def repository() -> SignedRepository:
    return SignedRepository()


@pytest.fixture
async def box(tmp_path: Path, repository: SignedRepository) -> AsyncIterator[SignedBox]:
    async with signed_box(tmp_path, repository) as box:
        yield box
