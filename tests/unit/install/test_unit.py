"""The unit: what systemd says of it, what it allows an agent, and what cannot become a service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.install import unit
from agent.install.unit import Service, text
from protos.errors import Rejected
from tests.servers.require import program, unmet

ROOT = Path(__file__).parents[3]
SERVICE = Service(Path("/usr/bin/python3"), Path("/opt/longshore"), groups=("video", "render"))
OTHER = replace(SERVICE, verb="serve", provider="cuda", state_dir=Path("/srv/box"))
MOST_EXPOSED = 20  # tenths, of systemd's own score: 100 is a service without any protection
RELEASE = ROOT / "models" / "harbour" / "release"
# PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: what MemoryDenyWriteExecute= asks of the kernel. 77: it is too old.
REFUSING = """
import ctypes, runpy, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and sys.exit(77)
sys.argv[0] = "longshore-agent"
runpy.run_module("agent.main", run_name="__main__")
"""


@pytest.fixture
def analyze() -> str:
    return program("systemd-analyze", "systemd")


@pytest.mark.parametrize("service", [SERVICE, OTHER])
def test_systemd_takes_the_unit_without_a_word(analyze: str, tmp_path: Path, service: Service) -> None:
    path = tmp_path / unit.UNIT
    path.write_text(text(service))
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_little_that_is_exposed(analyze: str, tmp_path: Path) -> None:
    path = tmp_path / unit.UNIT
    path.write_text(text(SERVICE))
    command = [analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout


def test_every_protection_counts(analyze: str, tmp_path: Path) -> None:
    """The score notices: without one of the large ones it is above what we allow."""
    path = tmp_path / unit.UNIT
    path.write_text(text(SERVICE).replace("CapabilityBoundingSet=\n", "").replace("User=longshore-agent\n", ""))
    command = [analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", str(path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_release_runs_where_no_memory_is_both_written_and_executed(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (tmp_path / "pictures").mkdir()
    assert cv2.imwrite(str(tmp_path / "pictures" / "grey.png"), np.full((360, 640, 3), 90, np.uint8))
    command = [sys.executable, "-c", REFUSING, "predict", str(RELEASE), "--images", str(tmp_path / "pictures")]
    done = subprocess.run([*command, "--output", str(tmp_path / "out.jsonl")], cwd=ROOT, check=False, timeout=100)
    if done.returncode == 77:
        unmet("this kernel cannot refuse such memory; it needs Linux 6.3")
    assert done.returncode == 0
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["image"] == "grey.png"


def test_what_compiles_while_it_runs_may_execute_what_it_wrote() -> None:
    assert "MemoryDenyWriteExecute=yes" in text(SERVICE)
    for provider in ("tensorrt", "openvino-bf16"):
        assert "MemoryDenyWriteExecute" not in text(replace(SERVICE, provider=provider))


def test_the_service_may_divide_its_cgroup_among_workers() -> None:
    assert "Delegate=memory pids\n" in text(SERVICE)
    assert "ProtectControlGroups" not in text(SERVICE), "it would be read-only"


def test_it_starts_the_agent_by_the_environment_it_was_installed_from() -> None:
    started = re.search(
        r"^ExecStart=(.*)$", text(replace(SERVICE, python=Path("/opt/longshore/bin/python"))), re.MULTILINE
    )
    assert started
    launcher = "/opt/longshore/bin/python -P -m agent.launcher /var/lib/longshore-agent"
    assert started[1] == f"{launcher} run --state-dir /var/lib/longshore-agent"


def test_another_state_folder_is_the_only_thing_it_may_write() -> None:
    assert "StateDirectory=longshore-agent" in text(SERVICE)
    other = text(replace(SERVICE, state_dir=Path("/srv/box")))
    assert "ReadWritePaths=/srv/box" in other
    assert "StateDirectory=" not in other


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (replace(SERVICE, python=Path("/root/.venv/bin/python")), "make the agent's environment below /opt"),
        (replace(SERVICE, code=Path("/home/ann/longshore")), "/home/ann/longshore lies where"),
        (replace(SERVICE, state_dir=Path("/tmp/box")), "/tmp/box lies where"),
        (replace(SERVICE, code=Path("/opt/my code")), "a character that a unit cannot hold"),
    ],
)
def test_what_a_service_could_not_read_is_refused_before_anything_is_done(service: Service, words: str) -> None:
    with pytest.raises(Rejected, match=words):
        text(service)


def test_a_link_into_a_home_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "HIDDEN", (tmp_path / "home",))
    (tmp_path / "python").symlink_to(tmp_path / "home" / "python3.11")
    with pytest.raises(Rejected, match=r"python3\.11 lies where"):
        text(replace(SERVICE, python=tmp_path / "python"))
