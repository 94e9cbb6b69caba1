"""Two whole agents of one site: what one needs, the other fetches for it, though it runs none of it itself."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from protos import manifest
from tests.e2e.test_agent_update import HARBOUR
from tests.servers.box import AgentProcess
from tests.servers.demo import DemoTree
from tests.servers.ports import free_port
from tests.servers.releasing import signed

pytestmark = pytest.mark.e2e

Fleet = tuple[DemoTree, AgentProcess, AgentProcess]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    place = f"127.0.0.1:{free_port()}"
    tree = DemoTree(tmp_path / "state", demo=False)
    cache = AgentProcess(tmp_path / "cache", settings={"SITE_CACHE_LISTEN": place})
    box = AgentProcess(tmp_path / "box", settings={"SITE_CACHE": f"http://{place}"})
    tree.start()
    tree.until_said("Ctrl-C ends everything", 60)
    yield tree, cache, box
    for agent in (box, cache):
        agent.close()
    tree.close()


def measured(agent: AgentProcess) -> dict[str, float]:
    """Series of its metrics, with their labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.ports['metrics']}/metrics", timeout=5) as answer:
        found = re.findall(r"^(longshore_\S+) ([\d.e+]+)$", answer.read().decode(), re.MULTILINE)
    return {series: float(value) for series, value in found}


@pytest.mark.timeout(180)
def test_a_release_comes_to_a_box_from_the_cache_of_its_site(
    fleet: tuple[DemoTree, AgentProcess, AgentProcess],
) -> None:
    tree, cache, box = fleet
    with Client(Context(tree.page, tree.token)) as client:
        for agent, node, labels in ((cache, "site-1", {}), (box, "quay-1", {"asks": "yes"})):
            token = client.document("POST", "/jointokens", json={"nodeId": node, "labels": labels})["token"]
            agent.join(f"https://127.0.0.1:{tree.ports['https']}", token)
            agent.start()
        pushed = signed(client, tree, HARBOUR)
        spec = {"model": pushed.model, "version": pushed.version, "cameraSelector": {}, "cloudSelector": {}}
        document = {"apiVersion": "longshore/v1", "kind": "Deployment", "metadata": {"name": "watch"}}
        selects = {"nodeSelector": {"matchLabels": {"asks": "yes"}}}
        client.call("PUT", "/deployments/watch", json={**document, "spec": {**spec, **selects}})

        def answers() -> bool:
            conditions = client.one("deployments", "watch")["status"]["conditions"]
            return any((each["type"], each["reason"]) == ("Converged", "Converged") for each in conditions)

        tree.until("the model answers", answers, 90)
    written = (HARBOUR / "manifest.json").read_bytes()
    size = len(written) + sum(entry.size for entry in manifest.parse(written).files)
    of_box, of_cache = measured(box), measured(cache)
    assert of_box['longshore_release_bytes{source="site-cache"}'] == size, box.said()
    assert 'longshore_release_bytes{source="control-plane"}' not in of_box
    assert of_cache['longshore_site_cache_bytes{of="served"}'] == size
    assert of_cache['longshore_site_cache_bytes{of="fetched"}'] == size
    assert list((cache.state_dir / "blobs" / "sha256").iterdir()) == []
