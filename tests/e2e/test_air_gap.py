"""A real agent process that reaches nobody: a stick is written by real services, imported, installed, and told of."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.berths.choice import Choice
from agent.version import VERSION
from controlplane.cli.exporting import Wish, export
from protos import carried, manifest
from protos.ids import digest_of
from protos.manifest import AGENT_MODEL
from tests.servers.box import LaunchedAgent
from tests.sim import agent_releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.far_box import Office, joined
from tests.sim.releases import MadeRelease

HARBOUR = Path(__file__).parents[2] / "models" / "harbour" / "release"
AGENT = (sys.executable, "-m", "agent.main")
SECONDS = 120.0


def release() -> MadeRelease:
    """The sample model, as it lies in the repository."""
    written = (HARBOUR / "manifest.json").read_bytes()
    described = manifest.parse(written)
    contents = [(HARBOUR / entry.path).read_bytes() for entry in described.files]
    digest = digest_of(written)
    return MadeRelease(digest, written, contents[0], {**{digest_of(each): each for each in contents}, digest: written})


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[SimControlPlane]:
    (tmp_path / "plane").mkdir()
    made = SimControlPlane(tmp_path / "plane", FakeClock(unix=time.time()))
    made.services.trust.keep_fresh()
    yield made
    made.close()


@pytest.fixture
def agent(plane: SimControlPlane, tmp_path: Path) -> Iterator[Path]:
    """The state directory of an agent that runs."""
    joined(plane, tmp_path / "box", "quay-1")
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0", "--threads", "1")
    with (tmp_path / "agent.log").open("wb") as log:
        running = subprocess.Popen([*AGENT, "run", "--state-dir", str(tmp_path / "box"), *ports], stderr=log)
    yield tmp_path / "box"
    running.terminate()
    assert running.wait(30) == 0


def told(*words: str) -> str:
    done = subprocess.run([*AGENT, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_agent_that_reaches_nobody_runs_what_a_stick_brought_and_its_report_is_taken(
    plane: SimControlPlane, agent: Path, tmp_path: Path
) -> None:
    made, stick = release(), tmp_path / "stick"
    version = manifest.parse(made.manifest).version
    plane.push(made)
    spec = {"model": "harbour", "version": version}
    assert plane.client.put("/api/v1/deployments/gate", json={"spec": spec}).status_code == 201
    with Office(plane).client() as client:
        list(export(client, Wish(stick, ("quay-1",))))
    while not (agent / "lock").exists() or not (agent / "lock").read_text():
        time.sleep(0.1)
    said = told("import", str(stick), "--state-dir", str(agent))
    assert f"gate: harbour@{version} answers" in said
    plane.clock.tick(SECONDS)
    file = (stick / carried.REPORTS / "quay-1.report").read_bytes()
    assert plane.client.post("/api/v1/reports", content=file).json()["news"] is True
    node = plane.client.get("/api/v1/nodes/quay-1").json()["status"]
    assert (node["phase"], node["deployments"][0]["activeDigest"]) == ("ByFile", made.digest)
    again = told("report", "-o", str(tmp_path / "again.report"), "--state-dir", str(agent))
    assert "hand it to 'longshore import-report'" in again


class Service:
    """As systemd does: whatever ends is started again."""

    def __init__(self, agent: LaunchedAgent) -> None:
        self.agent = agent
        self._ended = threading.Event()
        self._keeping = threading.Thread(target=self._keep)

    def __enter__(self) -> LaunchedAgent:
        self._keeping.start()
        return self.agent

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._keeping.join()
        self.agent.close()

    def _keep(self) -> None:
        while not self._ended.wait(0.1):
            self.agent.keep()


@pytest.mark.timeout(240)
def test_an_agent_that_reaches_nobody_updates_itself_from_a_stick_and_is_kept(
    plane: SimControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_AGENT_TRIAL_SECONDS", "4")
    made, stick = agent_releases.make(f"{VERSION}-next", paths=agent_releases.THIS_AGENT), tmp_path / "stick"
    joined(plane, tmp_path / "box", "quay-1")
    plane.push(made)
    spec = {"model": AGENT_MODEL, "version": f"{VERSION}-next", "nodeSelector": {}}
    assert plane.client.put("/api/v1/deployments/agents", json={"spec": spec}).status_code == 201
    with Office(plane).client() as client:
        list(export(client, Wish(stick, ("quay-1",))))
    with Service(LaunchedAgent(tmp_path / "box")) as agent:
        while "runs as quay-1" not in agent.said():
            time.sleep(0.1)
        said = told("import", str(stick), "--state-dir", str(agent.state_dir))
        assert f"agents: {AGENT_MODEL}@{VERSION}-next answers" in said, agent.said()
        assert agent.choice == Choice("a")
    file = (stick / carried.REPORTS / "quay-1.report").read_bytes()
    plane.clock.tick(SECONDS)
    assert plane.client.post("/api/v1/reports", content=file).json()["news"] is True
    node = plane.client.get("/api/v1/nodes/quay-1").json()["status"]
    assert (node["phase"], node["deployments"][0]["activeDigest"]) == ("ByFile", made.digest)
