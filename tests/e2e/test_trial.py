"""A real box and control plane: a release that answers NaN, then one that is too slow, is pushed, and taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from tests.servers.box import AgentProcess
from tests.servers.demo import DemoTree
from tests.servers.releasing import signed
from tests.sim.models import Sample, convolutions, detector
from tests.sim.release_folders import release_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NODE = "quay-1"
GOOD = detector()
NAN = detector(sane_below=0.001)  # black, as when it is warmed, is sane, and the harbour is not black
SLOW = convolutions(channels=48)


class Fleet:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tree, self.agent = DemoTree(folder / "state", demo=False), AgentProcess(folder / "box")
        self.tree.start()
        self.tree.until_said("Ctrl-C ends everything", 60)
        self.client = Client(Context(self.tree.page, self.tree.token))
        token = self.client.document("POST", "/jointokens", json={"nodeId": NODE})["token"]
        self.agent.join(f"https://127.0.0.1:{self.tree.ports['https']}", token)
        self.agent.start()
        self.see()

    def see(self) -> None:
        """With a camera."""
        self._apply("Camera", "crane", {"node": NODE, "source": "synthetic://harbour?seed=7", "rate": 10})

    def unsee(self) -> None:
        self.client.call("DELETE", "/cameras/crane")

    def deploy(self, version: str, sample: Sample, **objective: str) -> str:
        """The digest of the release."""
        pushed = signed(self.client, self.tree, release_of(sample, self._folder / version, release_version=version))
        anywhere: dict[str, object] = {"nodeSelector": {"matchLabels": {}}, "cameraSelector": {"matchLabels": {}}}
        spec = {"model": pushed.model, "version": version, "objective": objective, **anywhere}
        self._apply("Deployment", "watch", spec)
        return pushed.digest

    def _apply(self, kind: str, name: str, spec: dict[str, object]) -> None:
        document = {"apiVersion": "longshore/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.client.call("PUT", f"/{kind.lower()}s/{name}", json=document)

    @property
    def told(self) -> dict[str, Any]:
        """What the box says of the deployment."""
        deployments = self.client.one("nodes", NODE)["status"]["deployments"]
        return next((each for each in deployments if each["name"] == "watch"), {})

    def reached(self, state: str, digest: str, message: str = "") -> bool:
        told = self.told
        return bool(told) and told["state"] == state and told["targetDigest"] == digest and message in told["message"]

    @property
    def problems(self) -> dict[str, str]:
        """Of the box, by code."""
        return {each["code"]: each["message"] for each in self.client.one("nodes", NODE)["status"]["problems"]}

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.agent.ports['metrics']}/metrics", timeout=10).text

    def close(self) -> None:
        self.client.__exit__()
        self.agent.close()
        self.tree.close()


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("LONGSHORE_AGENT_CONFIRM_SECONDS", "3")
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


def test_a_release_that_answers_nan_or_is_too_slow_is_taken_back_and_refused_with_its_reason(fleet: Fleet) -> None:
    good = fleet.deploy("1.0.0", GOOD)
    fleet.tree.until("the good one answers", lambda: fleet.reached("IDLE", good), 60)
    bad = []
    for version, sample, objective, rule in (
        ("2.0.0", NAN, {}, "not-a-number: "),
        ("3.0.0", SLOW, {"latencyBudget": "2ms"}, "latency-budget: an inference takes"),
    ):
        bad.append(fleet.deploy(version, sample, **objective))
        fleet.tree.until(f"{version} is refused", lambda: fleet.reached("FAILED", bad[-1], rule), 60)  # noqa: B023
        assert (fleet.told["activeDigest"], fleet.told["refusedDigests"]) == (good, bad)
        (condition,) = (
            each
            for each in fleet.client.one("deployments", "watch")["status"]["conditions"]
            if each["type"] == "Converged"
        )
        assert condition["reason"] == "Failed"
        assert rule in condition["message"]
    query = "SELECT COUNT(*) FROM detections WHERE release_digest = ?"
    before = fleet.tree.rows(query, good)[0][0]
    fleet.tree.until("the good one answers again", lambda: fleet.tree.rows(query, good)[0][0] > before, 30)


def test_what_answers_nan_after_it_was_confirmed_is_told_and_goes_on(fleet: Fleet) -> None:
    """It is confirmed while there is no camera, and sees the first one later."""
    fleet.unsee()
    nan = fleet.deploy("1.0.0", NAN)
    fleet.tree.until("it is confirmed", lambda: fleet.reached("IDLE", nan), 60)
    assert "not-a-number" not in fleet.problems
    fleet.see()
    fleet.tree.until("the box tells of it", lambda: "not-a-number" in fleet.problems, 60)
    assert "watch: harbour 1.0.0 answered" in fleet.problems["not-a-number"]
    assert fleet.told["activeDigest"] == nan
    (frames,) = re.findall(
        r'^longshore_not_a_number_frames{deployment="watch"} ([0-9.]+)$', fleet.metrics(), re.MULTILINE
    )
    assert float(frames) > 0
