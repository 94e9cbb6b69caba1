"""A release of the agent: made of a checkout, pushed, deployed and told like any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from controlplane.cli import agent_release
from controlplane.cli.agent_release import Wish, package
from protos import manifest
from protos.errors import Rejected
from protos.manifest import AGENT_LOCK
from tests.sim.command import Run

ROOT = Path(__file__).parents[3]
DEPLOYMENT = "kind: Deployment\nmetadata: {name: agents}\nspec: {model: longshore-agent, version: 0.3.1}\n"


class SimPip:
    """Makes the files that pip would; `trouble` is raised by the command of that name."""

    def __init__(self, trouble: str = "") -> None:
        self.asked: list[list[str]] = []
        self._trouble = trouble

    def __call__(self, arguments: Sequence[str]) -> None:
        self.asked.append(list(arguments))
        if arguments[0] == self._trouble:
            raise Rejected("pip as the test wishes")
        at = "--wheel-dir" if arguments[0] == "wheel" else "--dest"
        name = "longshore-0.3.1-py3-none-any.whl" if arguments[0] == "wheel" else "click-8.5.0-py3-none-any.whl"
        (Path(arguments[arguments.index(at) + 1]) / name).write_bytes(name.encode())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "requirements").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "longshore"\nversion = "0.3.1"\n')
    (folder / "requirements" / "agent-cpu.lock").write_text("click==8.5.0 --hash=sha256:00\n")
    return folder


def test_it_holds_the_wheels_and_a_lock_that_names_ours_too(checkout: Path, tmp_path: Path) -> None:
    pip = SimPip()
    made = package(Wish(checkout, tmp_path / "made", python="3.13", suffix="py313"), pip)
    assert manifest.parse((tmp_path / "made" / "manifest.json").read_bytes()) == made
    assert (made.name, made.version, made.task) == ("longshore-agent", "0.3.1-py313", "agent")
    assert {entry.path: entry.role for entry in made.files} == {
        AGENT_LOCK: "lock",
        "click-8.5.0-py3-none-any.whl": "wheel",
        "longshore-0.3.1-py3-none-any.whl": "wheel",
    }
    ours = next(entry for entry in made.files if entry.path.startswith("longshore"))
    lock = (tmp_path / "made" / AGENT_LOCK).read_text().splitlines()
    assert lock == ["click==8.5.0 --hash=sha256:00", f"longshore==0.3.1 --hash={ours.digest}"]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:", "3.13"} <= set(pip.asked[1])


def test_what_failed_leaves_nothing_behind(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="as the test wishes"):
        package(Wish(checkout, tmp_path / "made"), SimPip("download"))
    assert not (tmp_path / "made").exists()
    with pytest.raises(Rejected, match="is no checkout of Longshore"):
        package(Wish(tmp_path, tmp_path / "made"), SimPip())
    (tmp_path / "made").mkdir()
    with pytest.raises(Rejected, match="is there already"):
        package(Wish(checkout, tmp_path / "made"), SimPip())


@pytest.mark.parametrize("lock", ["agent-cpu", "agent-openvino", "agent-gpu"])
def test_a_lock_of_ours_fits_into_one_release(lock: str) -> None:
    names = [line for line in (ROOT / "requirements" / f"{lock}.lock").read_text().splitlines() if "==" in line]
    assert len(names) + 2 <= manifest.MOST_FILES


def test_it_is_pushed_deployed_and_told_like_any_release(
    longshore: Run, quay: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_release, "pip", SimPip())
    made = longshore("agent", "package", "--source", str(checkout), "-o", str(tmp_path / "made"))
    assert made.out.splitlines()[0] == f"{tmp_path / 'made'}: longshore-agent@0.3.1, 3 files, 186 B"
    assert longshore("push", str(tmp_path / "made")).code == 0
    other = tmp_path / "other"
    shutil.copytree(checkout, tmp_path / "later")
    (tmp_path / "later" / "pyproject.toml").write_text('[project]\nname = "longshore"\nversion = "0.3.2"\n')
    package(Wish(tmp_path / "later", other), SimPip())
    assert longshore("push", str(other)).code == 0
    assert "0.3.2" in longshore("diff", "longshore-agent@0.3.1", "longshore-agent@0.3.2").out
    (tmp_path / "agents.yaml").write_text(DEPLOYMENT)
    assert longshore("apply", "-f", str(tmp_path / "agents.yaml")).code == 0
    told = json.loads(longshore("get", "deployment/agents", "-o", "json").out)["status"]
    conditions = {each["type"]: each for each in told["conditions"]}
    assert conditions["Ready"]["message"] == "an agent runs on 1 box"
    assert "Watching" not in conditions
    assert longshore("describe", "release/longshore-agent-0-3-1").code == 0


def test_an_agent_has_no_shadow(longshore: Run, quay: str, checkout: Path, tmp_path: Path) -> None:
    package(Wish(checkout, tmp_path / "made"), SimPip())
    assert longshore("push", str(tmp_path / "made")).code == 0
    (tmp_path / "agents.yaml").write_text(
        DEPLOYMENT.replace("0.3.1}", "0.3.1, shadow: {release: longshore-agent@0.3.1, share: 0.1}}")
    )
    refused = longshore("apply", "-f", str(tmp_path / "agents.yaml"))
    assert refused.code != 0
    assert "runs alone" in refused.err
