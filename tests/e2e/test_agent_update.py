"""A whole agent, started by the launcher, updates itself from a signed release and goes on as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.berths.choice import Choice
from agent.version import VERSION
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.pushing import Pushed
from tests.servers.box import LaunchedAgent
from tests.servers.demo import ROOT, DemoTree
from tests.servers.releasing import signed
from tests.sim import agent_releases
from tests.sim.releases import MadeRelease

pytestmark = pytest.mark.e2e

HARBOUR = ROOT / "models" / "harbour" / "release"
NEXT, BROKEN = f"{VERSION}-next", f"{VERSION}-broken"
ANYWHERE: dict[str, object] = {"nodeSelector": {}, "cameraSelector": {}, "cloudSelector": {}}
FALLS = "import sys\nif __name__ == '__main__':\n    sys.exit(1)"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DemoTree, LaunchedAgent]]:
    monkeypatch.setenv("LONGSHORE_AGENT_TRIAL_SECONDS", "2")
    tree, agent = DemoTree(tmp_path / "state", demo=False), LaunchedAgent(tmp_path / "box")
    tree.start()
    tree.until_said("Ctrl-C ends everything", 60)
    yield tree, agent
    agent.close()
    tree.close()


def folder_of(made: MadeRelease, folder: Path) -> Path:
    from protos import manifest

    folder.mkdir()
    (folder / "manifest.json").write_bytes(made.manifest)
    for entry in manifest.parse(made.manifest).files:
        (folder / entry.path).write_bytes(made.blobs[entry.digest])
    return folder


def deploy(client: Client, name: str, pushed: Pushed) -> None:
    spec = {"model": pushed.model, "version": pushed.version, **ANYWHERE}
    document = {"apiVersion": "longshore/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    client.call("PUT", f"/deployments/{name}", json=document)


@pytest.mark.timeout(240)
def test_an_agent_updates_itself_and_a_broken_one_is_taken_back(
    fleet: tuple[DemoTree, LaunchedAgent], tmp_path: Path
) -> None:
    tree, agent = fleet
    with Client(Context(tree.page, tree.token)) as client:

        def reached(name: str, reason: str) -> bool:
            agent.keep()
            conditions = client.one("deployments", name)["status"]["conditions"]
            return any((each["type"], each["reason"]) == ("Converged", reason) for each in conditions)

        token = client.document("POST", "/jointokens", json={"nodeId": "quay-1"})["token"]
        agent.join(f"https://127.0.0.1:{tree.ports['https']}", token)
        deploy(client, "watch", signed(client, tree, HARBOUR))
        tree.until("the model answers", lambda: reached("watch", "Converged"), 60)
        good = agent_releases.make(NEXT, paths=agent_releases.THIS_AGENT)
        deploy(client, "agents", signed(client, tree, folder_of(good, tmp_path / "good")))
        tree.until("the agent is updated", lambda: reached("agents", "Converged"), 90)
        assert agent.choice == Choice("a")
        tree.until("the model answers under it", lambda: reached("watch", "Converged"), 60)
        broken = agent_releases.make(BROKEN, body=FALLS)
        deploy(client, "agents", signed(client, tree, folder_of(broken, tmp_path / "broken")))
        tree.until("the broken one is refused", lambda: reached("agents", "Failed"), 90)
        assert agent.choice == Choice("a")
        assert "it did not come to be confirmed in" in str(client.one("deployments", "agents")["status"])
        tree.until("the model answers again", lambda: reached("watch", "Converged"), 60)
