"""The page under a real Chromium, over a simulated fleet that goes on talking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.page_server import PageServer, page_server, ticking


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[PageServer]:
    """A control plane that nobody joined yet."""
    with page_server(tmp_path) as server:
        yield server


@pytest.fixture
def server(empty_server: PageServer) -> Iterator[PageServer]:
    """Three boxes, three cameras, one deployment."""
    empty_server.fleet.join()
    empty_server.fleet.history(minutes=1)
    empty_server.fleet.tick()
    with ticking(empty_server.fleet, 1.0):
        yield empty_server
