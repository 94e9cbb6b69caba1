"""A real control plane served on a free port, and the command run against it as a user would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.cli.main import main
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.web import create_app
from protos.ids import NodeId
from tests.sim.clock import FakeClock
from tests.sim.command import Result, Run, Serving
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    (tmp_path / "state").mkdir()
    made = SimControlPlane(tmp_path / "state", clock, sync_interval_seconds=15)
    yield made
    made.close()


@pytest.fixture
def url(house: SimControlPlane, free_port: int) -> Iterator[str]:
    with Serving(create_app(house.services), free_port):
        yield f"http://127.0.0.1:{free_port}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `longshore` with these words, in an empty folder and with an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "LONGSHORE_URL",
        "LONGSHORE_TOKEN",
        "LONGSHORE_CA",
        "LONGSHORE_CONTEXT",
        "LONGSHORE_RELEASE_KEY",
        "XDG_CONFIG_HOME",
    ):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Result:
        code = main(list(words))
        shown = capsys.readouterr()
        return Result(int(code), shown.out, shown.err)

    return call


@pytest.fixture
def longshore(run: Run, url: str, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run`, with the served control plane and its token in the environment."""
    monkeypatch.setenv("LONGSHORE_URL", url)
    monkeypatch.setenv("LONGSHORE_TOKEN", house.token)
    return run


@pytest.fixture
def quay(house: SimControlPlane) -> str:
    """A node that joined."""
    with house.database.begin() as session:
        admission = Admission(NodeId("quay-1"), {"site": "quay"}, "edge", rejoin=True)
        IdentityRepository(session).admit_node(admission, int(house.clock.unix() * 1000))
    return "quay-1"
