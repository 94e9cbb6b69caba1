"""Databases that each repository is held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from controlplane.db import Database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    from controlplane.db import Database  # contracts of the agent do not pay for its imports
    from controlplane.migrations.migrate import migrate

    sqlite = request.param == "sqlite"
    opened = Database(f"sqlite:///{tmp_path / 'db'}" if sqlite else request.getfixturevalue("postgres_url"))
    migrate(opened)
    yield opened
    opened.close()
