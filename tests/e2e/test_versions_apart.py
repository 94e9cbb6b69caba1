"""Agent and control plane of neighbouring releases work together, both ways: join, sync, pull, telemetry, looking.

But for one thing: the first release signed nothing, so a newer box installs nothing of its control plane's.

The other release's code comes out of git. A shallow clone does not hold it; there the kept wire is what is checked
(tests/unit/protos/test_wire.py).
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.pushing import push
from controlplane.db import Database
from controlplane.migrations.migrate import migrate
from tests.servers.box import AgentProcess
from tests.servers.demo import ROOT, DemoTree
from tests.servers.ports import free_port
from tests.sim import past

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RELEASE = ROOT / "models" / "harbour" / "release"
FOLDERS = ("agent", "controlplane", "protos", "models", "pyproject.toml")
ANYWHERE: dict[str, object] = {"nodeSelector": {"matchLabels": {}}, "cameraSelector": {"matchLabels": {}}}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the first release."""
    made = subprocess.run(["git", "archive", past.commit(), *FOLDERS], cwd=ROOT, capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this clone does not hold {past.commit()[:12]}; fetch the whole history to run this")
    folder = tmp_path_factory.mktemp("first")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path, first: Path) -> Iterator[tuple[DemoTree, AgentProcess]]:
    """`request.param`: which of the two is old."""
    old_agent = request.param == "an old agent"
    tree = DemoTree(tmp_path / "state", demo=False, code=ROOT if old_agent else first)
    agent = AgentProcess(tmp_path / "box", code=first if old_agent else ROOT)
    tree.start()
    yield tree, agent
    agent.close()
    tree.close()


@pytest.fixture
def client(fleet: tuple[DemoTree, AgentProcess]) -> Iterator[Client]:
    """With the box joined, and asked to run the sample model on a camera."""
    tree, agent = fleet
    tree.until("the control plane answers", lambda: tree.get("nodes"), 60)
    with Client(Context(tree.page, tree.token)) as client:
        token = client.document("POST", "/jointokens", json={"nodeId": "quay-1"})["token"]
        agent.join(f"https://127.0.0.1:{tree.ports['https']}", token)
        agent.start()
        pushed = push(client, RELEASE)
        apply(client, "Camera", "crane", {"node": "quay-1", "source": "synthetic://harbour?seed=7", "rate": 5})
        apply(client, "Deployment", "watch", {"model": pushed.model, "version": pushed.version, **ANYWHERE})
        yield client


@pytest.mark.parametrize("fleet", ["an old agent"], indirect=True)
def test_an_older_box_runs_what_a_control_plane_tells_it(fleet: tuple[DemoTree, AgentProcess], client: Client) -> None:
    tree, agent = fleet
    tree.until(f"the release runs\n{agent.said()}", lambda: tree.confirmed("quay-1"), 90)
    query = "SELECT 1 FROM detections WHERE node_id = 'quay-1' AND outcome = 'ok_local'"
    tree.until("detections are stored", lambda: tree.rows(query), 60)
    counts = "SELECT 1 FROM outcome_counts WHERE node_id = 'quay-1' AND frames_due > 0"
    tree.until("outcomes are stored", lambda: tree.rows(counts), 60)
    tree.until("the picture moves", lambda: client.call("GET", "/cameras/crane/picture?wait=5").content, 60)
    _is_heard(tree, client)


@pytest.mark.parametrize("fleet", ["an old control plane"], indirect=True)
def test_a_newer_box_reports_and_installs_nothing_while_nothing_is_signed(
    fleet: tuple[DemoTree, AgentProcess], client: Client
) -> None:
    tree, agent = fleet

    def said() -> str:
        return "".join(each["message"] for each in tree.get("nodes/quay-1")["status"]["deployments"])

    tree.until(f"the box says why\n{agent.said()}", lambda: "offers no signed metadata; update it" in said(), 60)
    assert not tree.confirmed("quay-1")
    _is_heard(tree, client)


def _is_heard(tree: DemoTree, client: Client) -> None:
    tree.until("its log is read", lambda: client.document("GET", "/nodes/quay-1/logs?wait=5")["items"], 60)
    assert client.one("nodes", "quay-1")["status"]["phase"] == "Online"


def apply(client: Client, kind: str, name: str, spec: dict[str, object]) -> None:
    document = {"apiVersion": "longshore/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    client.call("PUT", f"/{kind.lower()}s/{name}", json=document)


def test_the_first_release_refuses_a_newer_database_in_one_sentence(first: Path, tmp_path: Path) -> None:
    past.control_plane(tmp_path)
    database = Database(f"sqlite:///{tmp_path / 'controlplane' / 'longshore.db'}")
    migrate(database)
    database.close()
    ports = [part for name in ("https", "http", "grpc") for part in (f"--{name}-port", str(free_port()))]
    command = [sys.executable, "-P", "-m", "controlplane.main", "serve", "--state", str(tmp_path), *ports]
    environment = {**os.environ, "PYTHONPATH": str(first)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "of a newer Longshore" in done.stderr
    assert "Traceback" not in done.stderr
