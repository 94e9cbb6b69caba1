"""A berth, made for real: venv and pip without a network, from the files of one signed release."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.adapters import berths_disk
from agent.adapters.berths_disk import DiskBerths
from agent.berths.choice import PYTHON, Choice
from agent.errors import DiskFull
from agent.launcher import loads
from agent.trust.agreement import confirmed_before
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos import manifest
from protos.errors import Rejected, Retryable
from protos.manifest import FileEntry
from tests.sim import agent_releases
from tests.sim.releases import MadeRelease

GOOD = agent_releases.make("0.3.1")


def installed(folder: Path, made: MadeRelease) -> DiskBerths:
    berths = DiskBerths(folder, "outside")
    release = VerifiedRelease(confirmed_before(made.digest), manifest.parse(made.manifest))
    berths.install("a", release, lambda entry: read(made, entry))
    return berths


def read(made: MadeRelease, entry: FileEntry) -> VerifiedBytes:
    return VerifiedBytes(made.blobs[entry.digest])


def test_an_environment_is_made_from_the_release_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:1/simple")  # whatever the box is set to
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    berths = installed(tmp_path, GOOD)
    assert berths.release("a") == GOOD.digest
    python = tmp_path / "berths" / "a" / PYTHON
    asked = [str(python), "-P", "-c", "import agent.version; print(agent.version.VERSION, agent.__file__)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, cwd="/").stdout.split()
    assert told[0] == "0.3.1"
    assert Path(told[1]).is_relative_to(tmp_path / "berths" / "a" / "env")
    assert loads(python)
    assert {path.name for path in (tmp_path / "berths" / "a").iterdir()} == {"env", "release"}


def test_what_cannot_be_installed_is_told_in_one_sentence_and_leaves_no_release(tmp_path: Path) -> None:
    others = agent_releases.make("0.3.1", wheel=agent_releases.make("0.3.1", says="9").model)
    wrong = {
        "other bytes than the lock names": (others, "THESE PACKAGES DO NOT MATCH THE HASHES"),
        "another processor": (agent_releases.make("0.3.1", tag="cp311-cp311-win_amd64"), "Could not find a version"),
        "no agent": (agent_releases.make("0.3.1", body=agent_releases.FALLS), "cannot be installed"),
        "another version": (agent_releases.make("0.3.1", says="0.3.0"), "says of itself that it is 0.3.0"),
    }
    for what, (made, said) in wrong.items():
        with pytest.raises(Rejected, match=said) as refused:
            installed(tmp_path, made)
        assert "\n" not in str(refused.value), what
        assert DiskBerths(tmp_path, "").release("a") is None, what


def test_a_version_may_say_more_than_the_agent_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berths_disk, "_filled", lambda place: (place / "env").mkdir())
    monkeypatch.setattr(berths_disk, "_run", lambda *_: "0.3.1\n")
    assert installed(tmp_path, agent_releases.make("0.3.1-gpu")).release("a")
    with pytest.raises(Rejected, match="says of itself"):
        installed(tmp_path, agent_releases.make("0.3.10"))


def test_a_full_disk_is_no_fault_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berths_disk, "UNPACKED", 1 << 50)
    with pytest.raises(DiskFull, match=r"needs \d+ MiB more"):
        installed(tmp_path, GOOD)
    with pytest.raises(DiskFull, match="no room for the agent's environment"):
        berths_disk._run(tmp_path, "sh", "-c", "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1")


def test_a_program_that_hangs_or_is_killed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berths_disk, "STEP_SECONDS", 0.1)
    with pytest.raises(Retryable, match=r"took more than 0\.1 s"):
        berths_disk._run(tmp_path, "sleep", "60")
    monkeypatch.undo()
    with pytest.raises(Retryable, match="ended by signal 9"):
        berths_disk._run(tmp_path, "sh", "-c", "kill -9 $$")


def test_the_berth_that_is_made_anew_says_so_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "berths" / "a"
    place.mkdir(parents=True)
    (place / "release").write_text(f"{GOOD.digest}\n")
    (place / "env").mkdir()

    def filled(place: Path) -> None:
        assert [path.name for path in place.iterdir()] == ["files"]
        raise Retryable("as the test wishes")

    monkeypatch.setattr(berths_disk, "_filled", filled)
    with pytest.raises(Retryable):
        installed(tmp_path, GOOD)
    assert DiskBerths(tmp_path, "").release("a") is None


def test_what_was_chosen_is_chosen_by_every_process_from_then_on(tmp_path: Path) -> None:
    DiskBerths(tmp_path, "outside").choose(Choice("a", "b", 1))
    assert DiskBerths(tmp_path, "b").choice() == Choice("a", "b", 1)
